"""Is a variant better than the baseline by more than seed noise? Three verdicts over paired seeds.

Letters: k paired seeds, m variants; d is the array of k paired differences, variant - baseline.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from truelift.verdicts import wording
from truelift.verdicts.checks import Array, at_least_zero, fraction, results_of
from truelift.verdicts.comparison import MOST_MORE_SEEDS, Comparison, Judgement, Rule
from truelift.verdicts.paired import (
    complete_pairs,
    correlation,
    exact_differences,
    paired_t_interval,
    paired_t_p_value,
    percent_of,
    probability_better,
    sample_sd,
    sign_flip_p_value,
    spread,
)
from truelift.verdicts.power import POWER, detectable_effect, power_paired_t, seeds_needed
from truelift.verdicts.several import holm

FEWEST_SIGN_FLIP_PAIRS = 6  # with 5 pairs the smallest two-sided p is 2/2^5 = 0.0625


def compare(
    baseline: ArrayLike,
    variants: Mapping[str, ArrayLike],
    *,
    higher_is_better: bool,
    smallest_effect: float = 0.0,
    relative: bool = False,
    resolution: float = 0.0,
    confidence: float = 0.95,
    unit: str = "",
) -> dict[str, Comparison]:
    """Each variant against the baseline over paired seeds, with one of three verdicts.

    - helps: Holm's adjusted p <= 1 - confidence, and the mean difference is at least `smallest_effect` the better way;
    - hurts: the same the worse way;
    - undecided: everything else, and `Comparison.reason` says what is missing.

    `more_seeds` plans for 80 % power at the effect max(|difference|, smallest_effect), with the spread seen and the
    level (1 - confidence)/m that Holm's correction asks of the best variant. From few seeds it is a rough number.

    Args:
        baseline: One result a seed, shape (k,). NaN marks a run that is missing.
        variants: Name -> results of the same seeds in the same order, NaN likewise. A pair counts if both are there.
        higher_is_better: Whether a larger metric is better.
        smallest_effect: The smallest effect that matters, >= 0, in units of the differences.
        relative: Take differences in percent of the baseline's mean over the complete pairs, which must be > 0. The
            mean is treated as exact, so p-values are those of the plain differences.
        resolution: The metric's smallest step, >= 0, in units of the metric, such as 100/N for an accuracy in percent
            on N images: see `spread`. 0 for a continuous metric.
        confidence: Of the intervals, and 1 - the level of the tests; in (0, 1).
        unit: Of the differences, for `reason` only, such as "points".

    Returns:
        Name -> Comparison, in the order of `variants`.

    Raises:
        InputError: For an argument outside its range, arrays of different lengths, or infinite values.
    """
    at_least_zero("smallest_effect", smallest_effect)
    at_least_zero("resolution", resolution)
    fraction("confidence", confidence)
    base = results_of("baseline", baseline)
    samples = {
        name: _sample(*complete_pairs(name, base, results_of(name, values)), relative=relative, resolution=resolution)
        for name, values in variants.items()
    }
    tested = {name: sample.p_value for name, sample in samples.items() if sample.p_value is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())).tolist(), strict=True))
    rule = Rule(higher_is_better, smallest_effect, confidence, tests=max(1, len(tested)), unit=unit)
    return {name: _comparison(sample, adjusted.get(name), rule) for name, sample in samples.items()}


@dataclass(frozen=True)
class _Sample:
    """The complete pairs of one variant, in units of the differences where not said otherwise."""

    baseline: Array  # in units of the metric, as the variant
    variant: Array
    differences: Array
    resolution: float
    spread: float | None  # None below 2 pairs, as the p-value
    p_value: float | None

    @property
    def seeds(self) -> int:
        return self.differences.size

    @property
    def difference(self) -> float:
        return float(self.differences.mean()) if self.seeds else math.nan


def _sample(baseline: Array, variant: Array, *, relative: bool, resolution: float) -> _Sample:
    scale = percent_of(baseline) if relative and baseline.size else 1.0
    d, step = scale * exact_differences(baseline, variant), scale * resolution
    if d.size < 2:
        return _Sample(baseline, variant, d, step, None, None)
    return _Sample(baseline, variant, d, step, spread(d, resolution=step), paired_t_p_value(d, resolution=step))


def _comparison(sample: _Sample, p_adjusted: float | None, rule: Rule) -> Comparison:
    k, d = sample.seeds, sample.differences
    interval = detectable = None
    if sample.spread:  # neither unknown nor 0: without spread an interval of no width would claim certainty
        interval = paired_t_interval(d, confidence=rule.confidence, resolution=sample.resolution)
        detectable = detectable_effect(sample.spread, k, alpha=rule.strictest_alpha)
    judged = _judge(sample, interval, p_adjusted, rule)
    return Comparison(
        seeds=k,
        baseline_mean=float(sample.baseline.mean()) if k else math.nan,
        variant_mean=float(sample.variant.mean()) if k else math.nan,
        baseline_sd=sample_sd(sample.baseline) if k >= 2 else None,
        variant_sd=sample_sd(sample.variant) if k >= 2 else None,
        difference=sample.difference,
        differences=tuple(d.tolist()),
        interval=interval,
        p_value=sample.p_value,
        p_adjusted=p_adjusted,
        p_sign_flip=sign_flip_p_value(d) if k >= FEWEST_SIGN_FLIP_PAIRS else None,
        probability_better=probability_better(d, higher_is_better=rule.higher_is_better) if k else math.nan,
        correlation=correlation(sample.baseline, sample.variant),
        smallest_detectable=detectable,
        verdict=judged.verdict,
        ground=judged.ground,
        reason=wording.reason(judged, rule),
        more_seeds=judged.more_seeds,
    )


def _judge(sample: _Sample, interval: tuple[float, float] | None, p_adjusted: float | None, rule: Rule) -> Judgement:
    """The verdict, its ground and the number of seeds that would decide, from the plainest case to the subtlest."""
    facts = Judgement(
        verdict="undecided",
        ground="no pairs",
        seeds=sample.seeds,
        difference=sample.difference,
        interval=interval,
        p_value=sample.p_value,
        p_adjusted=p_adjusted,
        more_seeds=None,
    )
    if sample.seeds == 0:
        return facts
    if p_adjusted is None:
        return replace(facts, ground="one seed")
    if not sample.differences.any():
        return replace(facts, ground="no difference")
    if p_adjusted <= rule.alpha:
        if abs(sample.difference) < rule.smallest_effect:
            return replace(facts, ground="too small")
        better = (sample.difference > 0) == rule.higher_is_better
        return replace(facts, ground="more than noise", verdict="helps" if better else "hurts")
    if interval is None:
        more = math.ceil(1 - math.log2(rule.strictest_alpha)) - sample.seeds  # until 2^(1 - k) reaches the level
        return replace(facts, ground="no spread", more_seeds=more)
    low, high = interval
    if -rule.smallest_effect < low and high < rule.smallest_effect:
        return replace(facts, ground="ruled out")
    planned = _planned_more_seeds(sample, rule)
    return replace(facts, ground="chance" if low > 0 or high < 0 else "too wide", more_seeds=planned)


def _planned_more_seeds(sample: _Sample, rule: Rule) -> int | None:
    """Seeds to add for a power of 80 %; at least 1, because the k there are did not decide. None above 1000."""
    effect = max(abs(sample.difference), rule.smallest_effect)
    most = sample.seeds + MOST_MORE_SEEDS
    # Asked first: the number itself is long to find, and useless, where the effect is next to nothing.
    if not sample.spread or power_paired_t(effect, sample.spread, most, rule.strictest_alpha) < POWER:
        return None
    return max(1, seeds_needed(effect, sample.spread, alpha=rule.strictest_alpha) - sample.seeds)
