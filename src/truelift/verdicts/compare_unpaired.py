"""Is a variant better than the baseline by more than noise, where runs are no pairs? The verdicts of `compare`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError
from truelift.metrics import Scale
from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts import wording
from truelift.verdicts.checks import Array
from truelift.verdicts.comparison import Comparison, Judgement, Rule, WithFailures
from truelift.verdicts.failures import Lost, all_failed, flags_of, lost, second_line
from truelift.verdicts.guards import Guard
from truelift.verdicts.judging import Tested, more_needed, with_failures
from truelift.verdicts.paired import is_constant, sample_sd, without_rounding
from truelift.verdicts.power import POWER
from truelift.verdicts.question import Pooling, Question
from truelift.verdicts.sample import in_percent, margins
from truelift.verdicts.several import holm_by_name
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
    scale: Scale | None = None,
    may_be_constant: bool = False,
    failed: Mapping[str, ArrayLike] | None = None,
    baseline_failed: ArrayLike | None = None,
    guards: Sequence[Guard] = (),
    pooling: Pooling = "none",
) -> dict[str, Comparison]:
    """Each variant against the baseline by Welch's test, with the verdicts of `compare` and for its arguments.

    `Comparison.seeds` is the number of runs of the side that has fewer, `differences` are the variant's results less
    the baseline's mean, and `probability_better` is over all pairs of a run of each.

    Args:
        baseline: One result a run, (n,). NaN marks a run that is missing.
        variants: Name -> results, of any number of runs, NaN likewise.
        higher_is_better: Whether a larger metric is better.
        smallest_effect: The smallest effect that matters, >= 0, in units of the differences.
        relative: Take differences in percent of the baseline, by log ratios: all results must be > 0.
        resolution: The metric's smallest step, >= 0.
        confidence: 1 - the level of the tests over all variants; in (0, 1).
        unit: Of the differences.
        scale: As for `compare`.
        may_be_constant: The baseline's results may all be one number.
        failed: Name -> one flag a result: this run failed, and is not merely missing.
        baseline_failed: The same of the baseline.
        guards: None: they need pairs.
        pooling: none: likewise.

    Raises:
        InputError: For an argument outside its range, infinite values, or results whose scale cannot be told.
    """
    if guards or pooling != "none":
        raise InputError("guards and pooling need runs that are pairs.")
    asked = Question(
        higher_is_better=higher_is_better,
        smallest_effect=smallest_effect,
        relative=relative,
        resolution=resolution,
        confidence=confidence,
        unit=unit,
        may_be_constant=may_be_constant,
    )
    base, others = asked.arms(baseline, variants, scale)
    flags = {name: flags_of(name, (failed or {}).get(name), values) for name, values in others.items()}
    base_flags = flags_of("baseline", baseline_failed, base)
    second = second_line(
        (base, others),
        (base_flags, flags),
        {name: int(of_variant.sum() + base_flags.sum()) for name, of_variant in flags.items()},
        lambda base, others: _compared(base, others, asked, {}, {}),
        higher_is_better=higher_is_better,
    )
    no_run = all_failed(base, base_flags)
    without = {name: lost(all_failed(values, flags[name]), no_run) for name, values in others.items()}
    return _compared(base, others, asked, second, without)


def _compared(
    base: Array,
    others: Mapping[str, Array],
    asked: Question,
    second: Mapping[str, WithFailures],
    without: Mapping[str, Lost],
) -> dict[str, Comparison]:
    ours = _working("baseline", base, asked, base)
    samples = {name: _working(name, values, asked, base) for name, values in others.items()}
    step = asked.resolution / math.exp(float(ours.mean())) if asked.relative and ours.size else asked.resolution
    tests = {
        name: welch(ours, values, resolution=step)
        for name, values in samples.items()
        if min(ours.size, values.size) >= 2
    }
    adjusted, levels = holm_by_name({name: test.p_value for name, test in tests.items()}, asked.alpha)
    low, high = margins(asked.smallest_effect, relative=asked.relative)
    equivalent = (
        {
            name: min(1.0, 2 * max(test.tail(test.difference - low), test.tail(high - test.difference)))
            for name, test in tests.items()
        }
        if asked.smallest_effect
        else {}
    )
    no_effect, no_effect_levels = holm_by_name(equivalent, asked.alpha)
    constant = not asked.may_be_constant and ours.size > 0 and is_constant(ours)
    return {
        name: _comparison(
            ours,
            values,
            tests.get(name),
            Tested(
                p_adjusted=adjusted.get(name),
                p_no_effect=no_effect.get(name),
                p_guarded=None,
                constant_baseline=constant,
            ),
            Rule(
                asked.higher_is_better,
                asked.smallest_effect,
                asked.confidence,
                tests=max(1, len(tests)),
                unit=asked.unit,
                relative=asked.relative,
                level=levels.get(name, asked.alpha),
                no_effect_level=no_effect_levels.get(name, asked.alpha),
                replicates="runs",
            ),
            second.get(name),
            without.get(name, Lost()),
        )
        for name, values in samples.items()
    }


def _working(name: str, results: Array, asked: Question, beside: Array) -> Array:
    """The results that are there, freed of rounding; their logarithms where differences are relative."""
    there = without_rounding(results[~np.isnan(results)], beside[~np.isnan(beside)])
    if not asked.relative:
        return there
    if there.size and not there.min() > 0:
        raise InputError(f'a relative comparison needs results above 0, got {there.min():g} of "{name}".')
    return np.log(there)


def _comparison(
    base: Array,
    variant: Array,
    test: Welch | None,
    tested: Tested,
    rule: Rule,
    second: WithFailures | None,
    without: Lost,
) -> Comparison:
    k = min(base.size, variant.size)

    def shown(value: float) -> float:
        return in_percent(value) if rule.relative else value

    def natural(values: Array) -> Array:
        return np.exp(values) if rule.relative else values

    difference = float(variant.mean() - base.mean()) if k else math.nan
    decided = with_failures(replace(_decide(base, variant, test, tested, rule, without), with_failures=second))
    confidence = 1 - (rule.no_effect_level if decided.verdict == "no effect" else rule.level)
    ends = test.interval(confidence) if test else None
    detectable = None
    if test is not None and test.error:
        detectable = shown(noncentrality(max(1, math.floor(test.degrees)), rule.level, POWER) * test.error)
    judged = replace(
        decided,
        difference=shown(difference),
        interval=(shown(ends[0]), shown(ends[1])) if ends else None,
        interval_confidence=confidence,
    )
    return Comparison(
        seeds=k,
        baseline_mean=float(natural(base).mean()) if k else math.nan,
        variant_mean=float(natural(variant).mean()) if k else math.nan,
        baseline_sd=sample_sd(natural(base)) if k >= 2 else None,
        variant_sd=sample_sd(natural(variant)) if k >= 2 else None,
        difference=judged.difference,
        differences=tuple(shown(value) for value in (variant - base.mean()).tolist()) if k else (),
        interval=judged.interval,
        interval_confidence=confidence,
        p_value=judged.p_value,
        p_adjusted=tested.p_adjusted,
        p_no_effect=tested.p_no_effect,
        p_sign_flip=None,
        probability_better=probability_better(base, variant, higher_is_better=rule.higher_is_better) if k else math.nan,
        correlation=None,
        smallest_detectable=detectable,
        verdict=judged.verdict,
        ground=judged.ground,
        reason=wording.reason(judged, rule),
        more_seeds=judged.more_seeds,
        guards=(),
        with_failures=second,
        replicates=rule.replicates,
    )


def _decide(
    base: Array,
    variant: Array,
    test: Welch | None,
    tested: Tested,
    rule: Rule,
    without: Lost,
) -> Judgement:
    """The verdict, its ground and the number of runs that would decide, from the plainest case to the subtlest."""
    k = min(base.size, variant.size)
    facts = Judgement(
        verdict="undecided" if k else without.verdict,
        ground="one seed" if k else without.ground,
        seeds=k,
        difference=math.nan,
        interval=None,
        interval_confidence=rule.confidence,
        p_value=test.p_value if test else None,
        p_adjusted=tested.p_adjusted,
        more_seeds=None,
        all_failed=without.runs,
    )
    if test is None:
        return facts
    if k < FEWEST_SEEDS:
        return replace(facts, ground="two seeds", more_seeds=_more_runs(base, variant, rule))
    if tested.constant_baseline:
        return replace(facts, ground="constant baseline")
    if test.error == 0:
        return replace(facts, ground="no difference" if test.difference == 0 else "no spread")
    assert tested.p_adjusted is not None
    low, high = margins(rule.smallest_effect, relative=rule.relative)
    if tested.p_adjusted <= rule.alpha and not low < test.difference < high:
        better = (test.difference > 0) == rule.higher_is_better
        return replace(facts, ground="more than noise", verdict="helps" if better else "hurts")
    if tested.p_no_effect is not None and tested.p_no_effect <= rule.alpha:
        return replace(facts, ground="equivalent", verdict="no effect")
    planned = _more_runs(base, variant, rule)
    if tested.p_adjusted <= rule.alpha:
        return replace(facts, ground="too small", more_seeds=planned)
    return replace(facts, ground="chance" if test.p_value <= rule.alpha else "too wide", more_seeds=planned)


def _more_runs(base: Array, variant: Array, rule: Rule) -> tuple[int, int | None] | None:
    """Runs to add on either side for a power of 80 %, if the noise is as seen; None above 1000."""
    spread = math.hypot(sample_sd(base), sample_sd(variant))
    difference = float(variant.mean() - base.mean())
    more = more_needed(difference, spread, min(base.size, variant.size), rule) if spread else None
    return None if more is None else (more, more)
