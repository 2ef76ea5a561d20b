"""The tests of all variants at once: of a difference of 0, and of one as large as the smallest effect."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from truelift.verdicts.pooled import dunnett_critical, step_down_dunnett
from truelift.verdicts.power import POWER
from truelift.verdicts.question import Question
from truelift.verdicts.sample import Sample, margins
from truelift.verdicts.several import holm_by_name
from truelift.verdicts.student import level_of, noncentrality


@dataclass(frozen=True)
class Tests:
    """The tests of a difference of 0, by name."""

    judged: Mapping[str, float]
    """P-values before the correction."""
    adjusted: Mapping[str, float]
    levels: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    """In working units."""
    detectable: Mapping[str, float | None]
    """The smallest effects that are found, likewise."""
    pooled: bool = False
    """Whether the noise is pooled over variants."""


def tests_of(samples: Mapping[str, Sample], asked: Question) -> Tests:
    """Of samples with their p-values."""
    p = {name: sample.p_value for name, sample in samples.items() if sample.p_value is not None}
    adjusted, levels = corrected(p, asked)

    def has_interval(sample: Sample) -> bool:
        return bool(sample.spread) and (asked.looks is None or asked.evidence.may_decide(sample))

    intervals = {
        name: asked.evidence.interval(samples[name], levels[name]) for name in p if has_interval(samples[name])
    }
    if asked.pooling == "guarded" and len({sample.seeds for sample in samples.values()}) == 1:
        pairs = {sample.baseline.tobytes() for sample in samples.values()}
        if len(pairs) == 1 and len(p) == len(samples):
            return _pooled(samples, p, levels, asked)
    detectable = {
        name: asked.evidence.detectable(sample, levels.get(name, asked.alpha)) for name, sample in samples.items()
    }
    return Tests(p, adjusted, levels, intervals, detectable)


def corrected(p: Mapping[str, float], asked: Question) -> tuple[dict[str, float], dict[str, float]]:
    """Adjusted p-values, and the level of each: Holm's, or a referee's."""
    if asked.levels is not None:
        levels = {name: asked.levels[name] for name in p}
        return {name: min(1.0, value * asked.alpha / levels[name]) for name, value in p.items()}, levels
    return holm_by_name(p, asked.alpha)


def _pooled(
    samples: Mapping[str, Sample], p: Mapping[str, float], levels: Mapping[str, float], asked: Question
) -> Tests:
    """Both the own test at the full level and step-down Dunnett; the interval is the hull of the two.

    Its level, and what is detectable, are those of the two at this step: Dunnett's critical value is Student's at a
    level of one variant.
    """
    arms = list(samples.values())
    base = np.log(arms[0].baseline) if asked.relative else arms[0].baseline
    others = np.stack([base + arm.differences for arm in arms])
    found = step_down_dunnett(base, others, alpha=asked.alpha, resolution=arms[0].resolution)
    adjusted = {name: max(p[name], float(q)) for name, q in zip(samples, found.p_adjusted, strict=True)}
    intervals, levels, detectable = {}, dict(levels), {}
    for (name, sample), among in zip(samples.items(), found.among, strict=True):
        own = asked.evidence.detectable(sample, asked.alpha)
        detectable[name] = own
        if sample.spread:
            t = dunnett_critical(asked.alpha, among, found.degrees)
            half = t * found.standard_error
            low, high = asked.evidence.interval(sample, asked.alpha)
            intervals[name] = (min(low, sample.difference - half), max(high, sample.difference + half))
            levels[name] = level_of(t, found.degrees)
            assert own is not None
            pooled = noncentrality(found.degrees, levels[name], POWER) * found.standard_error
            detectable[name] = max(own, pooled)
    return Tests(p, adjusted, levels, intervals, detectable, pooled=True)


def no_effect_of(samples: Mapping[str, Sample], asked: Question) -> dict[str, float]:
    """P-values of an effect as large as the smallest, either way; empty without a smallest effect."""
    if not asked.smallest_effect:
        return {}
    low, high = margins(asked.smallest_effect, relative=asked.relative)
    return {
        # Doubled: at the level of the other tests, so that it decides where their interval lies within the margins.
        name: min(1.0, 2 * asked.evidence.between(sample, low, high))
        for name, sample in samples.items()
        if sample.p_value is not None
    }
