"""Pairs whose two runs ran on unlike devices or in unlike forms: their times are no pair, the rest is flagged.

A form is a compiled one, or one recorded as CUDA graphs, which not every variant can have; or a precision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from truelift.metrics import is_time
from truelift.records import Run
from truelift.report.asked import Asked
from truelift.report.judged import Found
from truelift.report.kept import Key

_FORMS = (
    ("compiled", True, {"compile"}, "compiled"),
    ("cuda_graphs", True, {"cuda_graphs", "compile"}, "CUDA graphs"),
    # That `precision = "auto"` stands for on processors of one name, and on others.
    ("precision", "bf16", {"precision"}, "bf16"),
    ("precision", "fp16", {"precision"}, "fp16"),
)
"""What environment.json says of a run's form, with its value, the settings that change it, and its words."""


@dataclass(frozen=True)
class Unlike:
    """Where the two runs of a pair ran."""

    variant: str
    seed: int
    device: str
    baseline: str
    """The baseline's under the same seed."""

    @property
    def words(self) -> str:
        """For a sentence."""
        return f"it ran on {self.device}, the baseline on {self.baseline}"


def unlike(runs: Sequence[Run], asked: Asked) -> Mapping[Key, Unlike]:
    """The pairs on unlike devices, by variant and seed; of runs that tell nothing none.

    Args:
        runs: Those that are done.
        asked: The plan. Where a variant sets `compile`, that is what is compared, and makes no pair unlike; likewise
            `precision`, and `cuda_graphs`, which a compiled training is without.
    """
    set_by_variants = {name for variant in asked.variants for name in variant.settings}
    forms = [(fact, form, words) for fact, form, settings, words in _FORMS if not settings & set_by_variants]
    devices = {
        (run.variant, run.seed): "".join(
            [device, *(f" ({words})" for fact, value, words in forms if facts.get(fact) == value)]
        )
        for run in runs
        if (device := device_of(run)) is not None
        for facts in [run.environment()]
    }
    return {
        (variant, seed): Unlike(variant, seed, device, other)
        for (variant, seed), device in devices.items()
        if variant != asked.baseline and (other := devices.get((asked.baseline, seed), device)) != device
    }


def device_of(run: Run) -> str | None:
    """The GPU's name; of a run without one the processor and the number of threads."""
    facts = run.environment()
    device = facts.get("device")
    if isinstance(device, str) and device != "cpu":
        return device
    if device is None and not isinstance(facts.get("processor"), str):
        return None
    threads = facts.get("threads")
    of = "" if threads is None else f" with {threads} {'thread' if threads == 1 else 'threads'}"
    return f"{facts.get('processor') or 'a processor'}{of}"


def without_times(found: Found, pairs: Mapping[Key, Unlike]) -> Found:
    """What runs left, but for the times of pairs on unlike devices."""
    if not pairs:
        return found
    results = {
        run: {name: value for name, value in metrics.items() if run not in pairs or not is_time(name)}
        for run, metrics in found.results.items()
    }
    return replace(found, results=results)


def flagged(pairs: Mapping[Key, Unlike]) -> list[str]:
    """A sentence for each variant and two devices."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for pair in pairs.values():
        seeds.setdefault((pair.variant, pair.words), []).append(pair.seed)
    return [
        f"{variant}: {'seed' if len(which) == 1 else 'seeds'} {', '.join(map(str, which))}: {words}. These runs may "
        "differ from the baseline's for that alone, and their times are not compared"
        f"{', as they are with --no-cuda_graphs' if 'CUDA graphs' in words else ''}."
        for (variant, words), which in seeds.items()
    ]
