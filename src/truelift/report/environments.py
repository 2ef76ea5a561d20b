"""Where the runs of a study ran."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from truelift.records import Run

# They differ between runs by their nature; changed data and outliers are told by `notes`.
_OF_ONE_RUN = ("command", "started", "data", "weights", "outliers", "steps", "from_step", "compiled_why")


@dataclass(frozen=True)
class Environment:
    """One of the different environments."""

    facts: Mapping[str, object]
    """The content of environment.json without what belongs to one run."""
    runs: int
    """How many ran in it."""

    @property
    def on_cpu(self) -> bool:
        """Whether no other device is named."""
        return self.facts.get("device", "cpu") == "cpu"

    def words(self) -> list[str]:
        """What is known of it for a reader; a program of the user's says less."""
        parts = [f"{name} {self.facts[name]}" for name in ("truelift", "python", "torch", "numpy") if self._has(name)]
        if self._has("commit"):
            patched = " with changes (code.patch)" if self._has("patched") else ""
            parts.append(f"commit {str(self.facts['commit'])[:10]}{patched}")
        parts += [str(self.facts[name]) for name in ("device", "processor", "platform") if self._has(name)]
        threads = self.facts.get("threads")
        return [*parts, f"{threads} {'thread' if threads == 1 else 'threads'}"] if threads else parts

    def _has(self, name: str) -> bool:
        return bool(self.facts.get(name))


def environments(runs: Iterable[Run]) -> tuple[Environment, ...]:
    """The different ones, in the order in which runs name them; runs that left no description are left out."""
    different: list[tuple[dict[str, object], list[Run]]] = []
    for run in runs:
        facts = {key: value for key, value in run.environment().items() if key not in _OF_ONE_RUN}
        if not facts:
            continue
        ran = next((ran for known, ran in different if known == facts), None)
        if ran is None:
            different.append((facts, [run]))
        else:
            ran.append(run)
    return tuple(Environment(facts, len(ran)) for facts, ran in different)


def differing(found: Iterable[Environment]) -> list[str]:
    """The facts that are not the same in all."""
    all_of_them = list(found)
    keys = dict.fromkeys(key for environment in all_of_them for key in environment.facts)
    return [key for key in keys if len({str(environment.facts.get(key)) for environment in all_of_them}) > 1]
