"""Which run of a study comes next while seeds are run until it is decided.

Runs are started seed by seed, those of variants that go on and of the baseline while one does. With several processes
the next is started as soon as one is free, though the look before may still wait for a run: so a study runs ahead by
what keeps its processes busy, and by no more.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from truelift.records import Run, Study
from truelift.studies.again import Failures, tried_again
from truelift.verdicts import Comparison

Decide = Callable[[Study], Mapping[str, Comparison]]
"""Every variant but the baseline, judged by what is there; each with its `stop`."""


class Growing:
    """The runs that are needed, as far as it is known by now.

    A failed run has ended, and is tried again by the next command, as in any study. But what a variant was decided or
    given up with stays as it is: up to its last seed no variant's failed runs are tried again, and beyond it none of
    its own, which are not needed.

    Args:
        folder: The study's, with its study.json.
        runs: Each run's folder, with its variant and seed, in the order in which they are to run.
        pending: Those that are not finished.
        decide: Judges what is there.
        prepare: Called before a run starts.
        tell: Told what is settled already.
        failures: Take up those of runs that are tried again.
    """

    def __init__(
        self,
        folder: Path,
        runs: Mapping[Path, tuple[str, int]],
        pending: Collection[Path],
        *,
        decide: Decide,
        prepare: Callable[[Path], None],
        tell: Callable[[str], None],
        failures: Failures | None = None,
    ) -> None:
        self._folder = folder
        self._failures = Failures() if failures is None else failures
        self._decide = decide
        self._prepare = prepare
        self._number = _numbers(runs)
        """Of each run's seed, in the order of the plan."""
        self._runs = runs
        self._settled: set[str] = set()
        self._variants: frozenset[str] = frozenset()
        self._blocked = False
        self._pending, lines = self._to_run(pending)
        self._waiting = set(self._pending)
        """Neither ended nor started."""
        self._over = set(runs) - self._waiting
        self._seen = -1
        for line in (*lines, *self._settle()):
            tell(line)

    @property
    def runs_ended(self) -> int:
        """How many runs have ended, in earlier commands too."""
        return len(self._over)

    @property
    def runs_at_most(self) -> int:
        """How many runs there are in the end, if all that go on need all their seeds."""
        return sum(path not in self._waiting or self._is_needed(path) for path in self._runs)

    def folders(self) -> Iterator[Path]:
        """The next run to start, each time it is asked for: ready to run."""
        for path in self._pending:
            if self._blocked:
                return
            if self._is_needed(path):
                self._prepare(path)
                self._waiting.discard(path)
                yield path

    def ended(self, path: Path) -> list[str]:
        """Take up a run that has ended.

        Returns:
            Which variants are settled by it, a line each.
        """
        self._over.add(path)
        variant, seed = self._runs[path]
        if Run(variant, seed, path).status == "unfinished":
            self._blocked = True  # its folder was removed, say: no look can be taken past it
            return []
        return self._settle()

    def _to_run(self, pending: Collection[Path]) -> tuple[list[Path], list[str]]:
        """Of the runs that are not finished, those that may be run, the failed ones made ready to be tried again.

        Returns:
            Them, and what is to be said of those that failed.
        """
        statuses = {path: Run(*self._runs[path], path).status for path in pending}
        for path, status in statuses.items():
            if status == "done":  # the result of another configuration, which nothing may be judged by
                self._prepare(path)
        failed = [path for path, status in statuses.items() if status == "failed"]
        if not failed:
            return list(pending), []
        stays = _staying(failed, self._runs, self._decide(Study.read(self._folder)))
        again = [Run(*self._runs[path], path) for path in failed if path not in stays]
        lines = tried_again(again)
        for run in again:  # it has not ended, as long as it waits for its turn
            self._failures.set_aside(run.folder)
        return [path for path in pending if path not in stays], lines

    def _settle(self) -> list[str]:
        """Judge again, if a seed more has ended of all that go on."""
        there = self._seeds_over()
        if there == self._seen:
            return []
        self._seen = there
        lines = []
        found = self._decide(Study.read(self._folder))
        self._variants = frozenset(found)
        for name, c in found.items():
            assert c.stop is not None
            if c.stop.ended is not None and name not in self._settled:
                self._settled.add(name)
                lines.append(f"{name} settled after {c.stop.seeds} seeds: {_outcome(c)}")
        return lines

    def _seeds_over(self) -> int:
        """Of the plan's seeds, how many have ended in all runs that are needed."""
        missing = (number for path, number in self._number.items() if self._is_needed(path) and path not in self._over)
        return min(missing, default=len(self._number))

    def _is_needed(self, path: Path) -> bool:
        """Whether the run's variant goes on; the baseline does while another one does."""
        variant = self._runs[path][0]
        if variant in self._variants:
            return variant not in self._settled
        return not self._variants or len(self._settled) < len(self._variants)


def still_to_come(
    runs: Mapping[Path, tuple[str, int]], pending: Collection[Path], judged: Mapping[str, Comparison]
) -> list[Path]:
    """The runs of which `Growing` would begin some, as far as it is known by now: nothing is changed.

    Args:
        runs: As for `Growing`.
        pending: Likewise.
        judged: Every variant but the baseline, by what is there.
    """
    failed = [path for path in pending if Run(*runs[path], path).status == "failed"]
    stays = _staying(failed, runs, judged)
    stays |= {path for path in set(pending) - set(failed) if _is_over(runs[path][0], judged, _ENDED)}
    return [path for path in pending if path not in stays]


_ON_VERDICTS = ("decided", "futile")
_ENDED = (*_ON_VERDICTS, "last look")


def _staying(
    failed: Collection[Path], runs: Mapping[Path, tuple[str, int]], judged: Mapping[str, Comparison]
) -> set[Path]:
    """Of failed runs those that are not tried again."""
    stops = (c.stop for c in judged.values() if c.stop is not None)
    last = max((stop.seeds for stop in stops if stop.ended in _ON_VERDICTS), default=0)
    numbers = _numbers(runs)
    return {path for path in failed if numbers[path] < last or _is_over(runs[path][0], judged, _ON_VERDICTS)}


def _is_over(variant: str, judged: Mapping[str, Comparison], ended: Collection[str]) -> bool:
    """Whether a variant has ended so; the baseline when all others have."""
    over = {name for name, c in judged.items() if c.stop is not None and c.stop.ended in ended}
    return variant in over if variant in judged else bool(over) and over == judged.keys()


def _numbers(runs: Mapping[Path, tuple[str, int]]) -> dict[Path, int]:
    """Of each run's seed, in the order of the plan."""
    numbers = {seed: number for number, seed in enumerate(dict.fromkeys(seed for _, seed in runs.values()))}
    return {path: numbers[seed] for path, (_, seed) in runs.items()}


def _outcome(c: Comparison) -> str:
    assert c.stop is not None
    return f"{c.verdict}, {c.stop.ended}" if c.stop.ended == "futile" else c.verdict
