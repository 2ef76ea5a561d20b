"""Guards: other metrics that may get worse by a limit at most (non-inferiority)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from truelift.verdicts.checks import at_least_zero
from truelift.verdicts.evidence import Evidence
from truelift.verdicts.sample import Sample, in_percent, sample_of
from truelift.verdicts.several import holm_by_name

State = Literal["held", "broken", "open"]
"""Of a guard: shown to be within its limit, shown to be beyond it, or neither."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A metric that may get worse by `limit` at most, with its results."""

    metric: str
    """Its name for a reader."""
    limit: float
    """How much worse at most, at least 0: in the metric's unit, or percent of the baseline where relative."""
    higher_is_better: bool
    baseline: ArrayLike
    variants: Mapping[str, ArrayLike]
    """Results of the same seeds as the metric that is judged, by the same names."""
    relative: bool = False
    unit: str = ""
    """Of the limit."""
    resolution: float = 0.0
    """The metric's smallest step."""


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """One variant under one guard. `worse` and `at_most` count what is worse as positive, whichever way that is."""

    metric: str
    unit: str
    limit: float
    seeds: int
    worse: float
    """By how much it is worse in the mean; negative where it is better; NaN without a pair."""
    at_most: float | None
    """Upper end of the one-sided interval for it; None below three pairs, or without spread."""
    p_value: float | None
    """One-sided, of being worse by less than the limit; None below three pairs."""
    p_broken: float | None
    """One-sided, of being worse by more than the limit, Holm over the variants."""
    holds: bool
    """Whether `at_most` is below the limit, at the level of this variant."""
    broken: bool
    """Whether it is shown to be worse by more than the limit."""

    @property
    def state(self) -> State:
        """In a word."""
        return "broken" if self.broken else "held" if self.holds else "open"


def guard_samples(guard: Guard, evidence: Evidence) -> dict[str, Sample]:
    """The pairs of each variant that count, turned so that worse is positive.

    Raises:
        InputError: A limit below 0, or results that cannot be compared.
    """
    at_least_zero(f"the limit of guard {guard.metric}", guard.limit)
    turned = {}
    for name, values in guard.variants.items():
        found = sample_of(name, guard.baseline, values, relative=guard.relative, resolution=guard.resolution)
        turned[name] = evidence.counted(found.turned() if guard.higher_is_better else found)
    return turned


def limit_of(guard: Guard) -> float:
    """The limit in the samples' working units: of a ratio that gets worse downwards, log(1 - limit) downwards."""
    if not guard.relative:
        return guard.limit
    if guard.higher_is_better:
        return -math.log1p(-guard.limit / 100) if guard.limit < 100 else math.inf
    return math.log1p(guard.limit / 100)


def p_values(guard: Guard, samples: Mapping[str, Sample], evidence: Evidence) -> dict[str, float | None]:
    """One-sided p-values, by variant, of being worse by less than the limit."""
    limit = limit_of(guard)
    return {
        name: evidence.below(found, limit) if evidence.in_family(found) else None for name, found in samples.items()
    }


def guarded(
    guard: Guard,
    samples: Mapping[str, Sample],
    p: Mapping[str, float | None],
    levels: Mapping[str, float],
    alpha: float,
    evidence: Evidence,
) -> dict[str, Guarded]:
    """Each variant under the guard.

    Args:
        guard: The guard.
        samples: From `guard_samples`.
        p: From `p_values`.
        levels: The level that each variant is held to.
        alpha: Of the family of all variants, for `broken`.
        evidence: That `p` is of.
    """
    limit = limit_of(guard)
    tested = {name: evidence.below(samples[name].turned(), -limit) for name, value in p.items() if value is not None}
    broken, _ = holm_by_name(tested, alpha)
    return {
        name: _guarded(guard, found, p[name], broken.get(name), levels.get(name, alpha), alpha, evidence)
        for name, found in samples.items()
    }


def _guarded(
    guard: Guard,
    found: Sample,
    p_value: float | None,
    p_broken: float | None,
    level: float,
    alpha: float,
    evidence: Evidence,
) -> Guarded:
    at_most = None
    if p_value is not None and found.spread and evidence.may_decide(found):
        at_most = _worse(guard, evidence.upper(found, level))
    return Guarded(
        metric=guard.metric,
        unit=guard.unit,
        limit=guard.limit,
        seeds=found.seeds,
        worse=_worse(guard, found.difference),
        at_most=at_most,
        p_value=p_value if evidence.may_decide(found) else None,
        p_broken=p_broken if evidence.may_decide(found) else None,
        holds=p_value is not None and p_value <= level,
        broken=p_broken is not None and p_broken <= alpha,
    )


def _worse(guard: Guard, value: float) -> float:
    """In the unit of the limit: of a ratio turned around, percent of the baseline that are missing."""
    if not guard.relative:
        return value
    return -in_percent(-value) if guard.higher_is_better else in_percent(value)


def worst_p_value(guards: Sequence[Mapping[str, float | None]], name: str) -> float:
    """The largest p-value of a variant over all guards; 1 where one cannot be told."""
    found = (p.get(name) for p in guards)
    return max((1.0 if value is None else value for value in found), default=0.0)
