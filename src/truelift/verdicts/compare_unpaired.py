"""Is a variant better than the baseline by more than noise, where runs are no pairs? The verdicts of `compare`."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from truelift.verdicts import wording
from truelift.verdicts.checks import Array, at_least_zero, fraction, results_of
from truelift.verdicts.comparison import MOST_MORE_SEEDS, Comparison, Judgement, Rule
from truelift.verdicts.paired import percent_of, sample_sd
from truelift.verdicts.power import POWER, power_paired_t, seeds_needed
from truelift.verdicts.several import holm
from truelift.verdicts.student import noncentrality
from truelift.verdicts.unpaired import Welch, probability_better, welch


def compare_unpaired(
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
    """Each variant against the baseline by Welch's test, with the verdicts of `compare` and for its arguments.

    `Comparison.seeds` is the number of runs of the side that has fewer, `differences` are the variant's results less
    the baseline's mean, and `probability_better` is over all pairs of a run of each.

    Args:
        baseline: One result a run, (n,). NaN marks a run that is missing.
        variants: Name -> results, of any number of runs, NaN likewise.
        higher_is_better: Whether a larger metric is better.
        smallest_effect: The smallest effect that matters, >= 0, in units of the differences.
        relative: Take differences in percent of the baseline's mean, which must be > 0.
        resolution: The metric's smallest step, >= 0.
        confidence: Of the intervals, and 1 - the level of the tests; in (0, 1).
        unit: Of the differences, for `reason` only.

    Raises:
        InputError: For an argument outside its range, or infinite values.
    """
    at_least_zero("smallest_effect", smallest_effect)
    fraction("confidence", confidence)
    base = _there("baseline", baseline)
    samples = {name: _there(name, values) for name, values in variants.items()}
    scale = percent_of(base) if relative and base.size else 1.0
    base = scale * base
    samples = {name: scale * values for name, values in samples.items()}
    tests = {
        name: welch(base, values, resolution=scale * resolution)
        for name, values in samples.items()
        if min(base.size, values.size) >= 2
    }
    adjusted = dict(zip(tests, holm([test.p_value for test in tests.values()]).tolist(), strict=True))
    rule = Rule(higher_is_better, smallest_effect, confidence, tests=max(1, len(tests)), unit=unit)
    return {
        name: _comparison(base, values, scale, tests.get(name), adjusted.get(name), rule)
        for name, values in samples.items()
    }


def _there(name: str, values: ArrayLike) -> Array:
    results = results_of(name, values)
    return results[~np.isnan(results)]


def _comparison(
    base: Array, variant: Array, scale: float, test: Welch | None, p_adjusted: float | None, rule: Rule
) -> Comparison:
    k = min(base.size, variant.size)
    interval = test.interval(rule.confidence) if test else None
    detectable = None
    if test is not None and test.error:
        detectable = noncentrality(max(1, math.floor(test.degrees)), rule.strictest_alpha, POWER) * test.error
    judged = _judge(base, variant, test, interval, p_adjusted, rule)
    return Comparison(
        seeds=k,
        baseline_mean=float(base.mean()) / scale if k else math.nan,
        variant_mean=float(variant.mean()) / scale if k else math.nan,
        baseline_sd=sample_sd(base) / scale if k >= 2 else None,
        variant_sd=sample_sd(variant) / scale if k >= 2 else None,
        difference=judged.difference,
        differences=tuple((variant - base.mean()).tolist()) if k else (),
        interval=interval,
        p_value=test.p_value if test else None,
        p_adjusted=p_adjusted,
        p_sign_flip=None,
        probability_better=probability_better(base, variant, higher_is_better=rule.higher_is_better) if k else math.nan,
        correlation=None,
        smallest_detectable=detectable,
        verdict=judged.verdict,
        ground=judged.ground,
        reason=wording.reason(judged, rule),
        more_seeds=judged.more_seeds,
    )


def _judge(
    base: Array,
    variant: Array,
    test: Welch | None,
    interval: tuple[float, float] | None,
    p_adjusted: float | None,
    rule: Rule,
) -> Judgement:
    k = min(base.size, variant.size)
    facts = Judgement(
        verdict="undecided",
        ground="no pairs" if k == 0 else "one seed",
        seeds=k,
        difference=float(variant.mean() - base.mean()) if k else math.nan,
        interval=interval,
        p_value=test.p_value if test else None,
        p_adjusted=p_adjusted,
        more_seeds=None,
    )
    if test is None:
        return facts
    if interval is None:
        # Runs that are all alike on both sides: whatever made them so is no noise.
        return replace(facts, ground="no difference" if test.difference == 0 else "no spread")
    assert p_adjusted is not None
    if p_adjusted <= rule.alpha:
        if abs(test.difference) < rule.smallest_effect:
            return replace(facts, ground="too small")
        better = (test.difference > 0) == rule.higher_is_better
        return replace(facts, ground="more than noise", verdict="helps" if better else "hurts")
    low, high = interval
    if -rule.smallest_effect < low and high < rule.smallest_effect:
        return replace(facts, ground="ruled out")
    planned = _planned_more_runs(base, variant, rule)
    return replace(facts, ground="chance" if low > 0 or high < 0 else "too wide", more_seeds=planned)


def _planned_more_runs(base: Array, variant: Array, rule: Rule) -> int | None:
    """Runs to add on either side for a power of 80 %; None above 1000."""
    k = min(base.size, variant.size)
    effect = max(abs(float(variant.mean() - base.mean())), rule.smallest_effect)
    spread = math.hypot(sample_sd(base), sample_sd(variant))
    if not spread or power_paired_t(effect, spread, k + MOST_MORE_SEEDS, rule.strictest_alpha) < POWER:
        return None
    return max(1, seeds_needed(effect, spread, alpha=rule.strictest_alpha) - k)
