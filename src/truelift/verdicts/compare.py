"""Is a variant better than the baseline by more than seed noise? Verdicts over paired seeds.

Letters: k paired seeds, m variants; d is the array of k paired differences, variant - baseline; D the smallest effect.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError, known, require
from truelift.metrics import Scale
from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts import wording
from truelift.verdicts.checks import Array, arms_of, at_least_zero, fraction
from truelift.verdicts.comparison import Comparison, Judgement, Rule, WithFailures
from truelift.verdicts.evidence import AnyStop, Evidence, OneLook
from truelift.verdicts.failures import Flags, Lost, all_failed, failed_of_pairs, flags_of, lost, second_line
from truelift.verdicts.folds import DependentFolds, check_ratio
from truelift.verdicts.guards import Guard, Guarded, guard_samples, guarded, p_values, worst_p_value
from truelift.verdicts.judging import Tested, judge
from truelift.verdicts.paired import correlation, is_constant, probability_better, sample_sd, sign_flip_p_value
from truelift.verdicts.pooled import FEWEST_VARIANTS, dunnett_critical, step_down_dunnett
from truelift.verdicts.power import POWER
from truelift.verdicts.sample import Sample, margins, sample_of
from truelift.verdicts.scale import in_points
from truelift.verdicts.sequential import Looks
from truelift.verdicts.sequential_path import Look, path
from truelift.verdicts.several import holm_by_name
from truelift.verdicts.student import level_of, noncentrality

FEWEST_SIGN_FLIP_PAIRS = 6  # with 5 pairs the smallest two-sided p is 2/2^5 = 0.0625

NO_POOLING = 'pooling = "guarded" has no form that holds at any stop: leave it out, or give a fixed number of seeds'

Pooling = Literal["none", "guarded"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


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
    scale: Scale | None = None,
    may_be_constant: bool = False,
    failed: Mapping[str, ArrayLike] | None = None,
    baseline_failed: ArrayLike | None = None,
    guards: Sequence[Guard] = (),
    pooling: Pooling = "none",
    looks: Looks | None = None,
    levels: Mapping[str, float] | None = None,
    held_out: float | None = None,
) -> dict[str, Comparison]:
    """Each variant against the baseline over paired seeds, with its verdict.

    - helps: the adjusted p <= 1 - confidence, the mean difference is at least D the better way, and every guard holds;
    - hurts: the same the worse way, or a guard is shown to be broken;
    - no effect: two one-sided tests, each at half the level, show that the difference lies between -D and D, as the
      interval does, Holm over the variants;
    - failed: all runs of the variant failed, as its flags say;
    - undecided: everything else, and `Comparison.reason` says what is missing. Below three pairs, and where all results
      of the baseline are one number, nothing is decided; nor where failed runs, counted as the worst result of the
      study, give another verdict.

    Args:
        baseline: One result a seed, shape (k,). NaN marks a run that is missing.
        variants: Name -> results of the same seeds in the same order, NaN if missing. A pair counts if both are there.
        higher_is_better: Whether a larger metric is better.
        smallest_effect: The smallest effect D that matters, >= 0, in units of the differences.
        relative: Take differences in percent of the baseline, by log ratios: all results must be > 0.
        resolution: The metric's smallest step, >= 0, in units of the metric, such as 100/N for an accuracy in percent
            on N images: see `spread`. 0 for a continuous metric.
        confidence: 1 - the level of the tests over all variants; in (0, 1).
        unit: Of the differences, such as "points".
        scale: Of results whose unit is points: points, fraction (they are multiplied by 100) or none. None: looked at,
            and refused where they could be fractions.
        may_be_constant: The baseline's results may all be one number, as of a count that no seed changes.
        failed: Name -> one flag a seed: this run failed, and is not merely missing.
        baseline_failed: The same of the baseline.
        guards: Other metrics that may get worse by a limit at most.
        pooling: none, or guarded: one noise for all variants, for 3 variants and more; declared before the study.
        looks: Of a study that is judged while it grows: p-values and intervals hold wherever it stops. A variant that
            has stopped has NaN from there on; `until_decided` finds where. Their alpha is 1 - confidence.
        levels: Name -> the level of its two-sided test in (0, 1), as a referee gives it, in place of Holm's. The
            adjusted p is then p (1 - confidence) / level: it decides where p is at most the level.
        held_out: n_test / n_train, where each pair is a fold of one data set in place of a seed: p-values and intervals
            are Nadeau and Bengio's (see `truelift.verdicts.folds`). Not with pooling, looks or levels.

    Returns:
        Name -> Comparison, in the order of `variants`.

    Raises:
        InputError: For an argument outside its range, arrays of different lengths, infinite values, or results whose
            scale cannot be told.
    """
    asked = Question(
        higher_is_better=higher_is_better,
        smallest_effect=smallest_effect,
        relative=relative,
        resolution=resolution,
        confidence=confidence,
        unit=unit,
        may_be_constant=may_be_constant,
        pooling=pooling,
        looks=looks,
        levels=levels,
        held_out=held_out,
    )
    known("pooling", pooling, POOLINGS)
    if looks is not None:
        require("looks' alpha", looks.alpha, math.isclose(looks.alpha, 1 - confidence), "1 - confidence")
        if pooling != "none":
            raise InputError(f"{NO_POOLING}.")
    if pooling == "guarded" and len(variants) < FEWEST_VARIANTS:
        raise InputError(f'pooling = "guarded" needs {FEWEST_VARIANTS} variants or more, got {len(variants)}.')
    if held_out is not None:
        _check_folds(held_out, pooling, looks, levels)
    if levels is not None:
        _check_levels(levels, variants, pooling, looks)
    base, others = asked.arms(baseline, variants, scale)
    flags = {name: flags_of(name, (failed or {}).get(name), values) for name, values in others.items()}
    base_flags = flags_of("baseline", baseline_failed, base)
    seeds = {name: _judged(values, flags[name], asked) for name, values in others.items()}
    runs = {
        name: failed_of_pairs((base, base_flags), (others[name], of_variant), seeds[name])
        for name, of_variant in flags.items()
    }
    second = second_line(
        (base, others),
        (base_flags, flags),
        runs,
        lambda base, others: _compared(base, others, asked, (), {}, {}),
        higher_is_better=higher_is_better,
    )
    no_run = all_failed(base, base_flags, max(seeds.values(), default=base.size))
    without = {name: lost(all_failed(values, flags[name], seeds[name]), no_run) for name, values in others.items()}
    return _compared(base, others, asked, guards, second, without)


@dataclass(frozen=True, kw_only=True)
class Question:
    """The arguments of `compare` that are no results; of runs that are no pairs too.

    Raises:
        InputError: One is outside its range.
    """

    higher_is_better: bool
    smallest_effect: float
    relative: bool
    resolution: float
    confidence: float
    unit: str
    may_be_constant: bool
    pooling: Pooling = "none"
    looks: Looks | None = None
    levels: Mapping[str, float] | None = None
    held_out: float | None = None

    def __post_init__(self) -> None:
        at_least_zero("smallest_effect", self.smallest_effect)
        at_least_zero("resolution", self.resolution)
        fraction("confidence", self.confidence)

    def arms(
        self, baseline: ArrayLike, variants: Mapping[str, ArrayLike], scale: Scale | None
    ) -> tuple[Array, dict[str, Array]]:
        """The results of the baseline and of each variant, as percent where differences are in points."""
        arms = arms_of(baseline, variants)
        if self.unit == "points" and not self.relative:
            arms = in_points("the metric", arms, scale)
        return arms[0], dict(zip(variants, arms[1:], strict=True))

    @property
    def alpha(self) -> float:
        """The level of the tests over all variants."""
        return 1 - self.confidence

    @property
    def evidence(self) -> Evidence:
        """How pairs are tested."""
        if self.held_out is not None:
            return DependentFolds(self.held_out)
        return OneLook() if self.looks is None else AnyStop(self.looks)


def _check_levels(
    levels: Mapping[str, float], variants: Mapping[str, ArrayLike], pooling: Pooling, looks: Looks | None
) -> None:
    if levels.keys() != variants.keys():
        raise InputError(f"levels must be given for {', '.join(variants)}, got {', '.join(levels) or 'none'}.")
    for name, level in levels.items():
        fraction(f'the level of "{name}"', level)
    if pooling != "none":
        raise InputError(f"levels must be left out with pooling = {pooling}, whose tests are one family.")
    if looks is not None:
        raise InputError("levels must be left out with looks: each is for one look.")


def _check_folds(held_out: float, pooling: Pooling, looks: Looks | None, levels: Mapping[str, float] | None) -> None:
    check_ratio(held_out)
    for name, given in (("pooling", pooling != "none"), ("looks", looks is not None), ("levels", levels is not None)):
        if given:
            raise InputError(f"{name} must be left out with folds: its tests are for independent pairs.")


def _judged(results: Array, failed: Flags, asked: Question) -> int:
    """How many seeds a variant is judged by: where it stopped, it has neither results nor failures from there on."""
    there = np.flatnonzero(~np.isnan(results) | failed)
    return results.size if asked.looks is None else int(there[-1]) + 1 if there.size else 0


def _compared(
    base: Array,
    others: Mapping[str, Array],
    asked: Question,
    guards: Sequence[Guard],
    second: Mapping[str, WithFailures],
    without: Mapping[str, Lost],
) -> dict[str, Comparison]:
    evidence = asked.evidence
    samples = {
        name: evidence.counted(sample_of(name, base, values, relative=asked.relative, resolution=asked.resolution))
        for name, values in others.items()
    }
    samples = {name: replace(sample, p_value=evidence.p_value(sample)) for name, sample in samples.items()}
    tests = _tests(samples, asked)
    no_effect, no_effect_levels = holm_by_name(_no_effect(samples, asked), asked.alpha)
    turned = [guard_samples(guard, evidence) for guard in guards]
    of_guards = [p_values(guard, one, evidence) for guard, one in zip(guards, turned, strict=True)]
    # A referee's budget is one-sided: of a level that is given for two sides, a guard has one.
    sides = 1 if asked.levels is None else 2
    both = {name: min(1.0, max(p, sides * worst_p_value(of_guards, name))) for name, p in tests.judged.items()}
    adjusted, levels = _corrected(both, asked)
    levels = {name: level / sides for name, level in levels.items()}
    kept = [
        guarded(guard, one, p, levels, asked.alpha, evidence)
        for guard, one, p in zip(guards, turned, of_guards, strict=True)
    ]
    there = base[~np.isnan(base)]
    constant = not asked.may_be_constant and there.size >= FEWEST_SEEDS and is_constant(there)
    return {
        name: _comparison(
            sample,
            Tested(
                p_adjusted=tests.adjusted.get(name),
                p_no_effect=no_effect.get(name),
                p_guarded=adjusted.get(name) if guards else None,
                constant_baseline=constant,
                may_decide=evidence.may_decide(sample),
            ),
            tests.intervals.get(name),
            Rule(
                asked.higher_is_better,
                asked.smallest_effect,
                asked.confidence,
                tests=max(1, len(tests.adjusted)),
                unit=asked.unit,
                relative=asked.relative,
                level=tests.levels.get(name, asked.alpha),
                refereed=asked.levels is not None,
                no_effect_level=no_effect_levels.get(name, asked.alpha),
                looks=asked.looks,
                replicates="seeds" if asked.held_out is None else "folds",
            ),
            tuple(one[name] for one in kept if name in one),
            second.get(name),
            without.get(name, Lost()),
            tests.detectable is not None,
            tests.detectable[name]
            if tests.detectable
            else evidence.detectable(sample, tests.levels.get(name, asked.alpha)),
            evidence,
        )
        for name, sample in samples.items()
    }


@dataclass(frozen=True)
class _Tests:
    """The tests of a difference of 0, by name."""

    judged: Mapping[str, float]
    """P-values before the correction."""
    adjusted: Mapping[str, float]
    levels: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    """In working units."""
    detectable: Mapping[str, float | None] | None = None
    """Where the noise is pooled: the smallest effects that are found, likewise; None elsewhere."""


def _tests(samples: Mapping[str, Sample], asked: Question) -> _Tests:
    p = {name: sample.p_value for name, sample in samples.items() if sample.p_value is not None}
    adjusted, levels = _corrected(p, asked)

    def has_interval(sample: Sample) -> bool:
        return bool(sample.spread) and (asked.looks is None or asked.evidence.may_decide(sample))

    intervals = {
        name: asked.evidence.interval(samples[name], levels[name]) for name in p if has_interval(samples[name])
    }
    if asked.pooling == "guarded" and len({sample.seeds for sample in samples.values()}) == 1:
        pairs = {sample.baseline.tobytes() for sample in samples.values()}
        if len(pairs) == 1 and len(p) == len(samples):
            return _pooled(samples, p, levels, asked)
    return _Tests(p, adjusted, levels, intervals)


def _corrected(p: Mapping[str, float], asked: Question) -> tuple[dict[str, float], dict[str, float]]:
    """Adjusted p-values, and the level of each: Holm's, or a referee's."""
    if asked.levels is not None:
        levels = {name: asked.levels[name] for name in p}
        return {name: min(1.0, value * asked.alpha / levels[name]) for name, value in p.items()}, levels
    return holm_by_name(p, asked.alpha)


def _pooled(
    samples: Mapping[str, Sample], p: Mapping[str, float], levels: Mapping[str, float], asked: Question
) -> _Tests:
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
    return _Tests(p, adjusted, levels, intervals, detectable)


def _no_effect(samples: Mapping[str, Sample], asked: Question) -> dict[str, float]:
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


def _comparison(
    sample: Sample,
    tested: Tested,
    interval: tuple[float, float] | None,
    rule: Rule,
    guards: tuple[Guarded, ...],
    second: WithFailures | None,
    without: Lost,
    pooled: bool,
    detectable: float | None,
    evidence: Evidence,
) -> Comparison:
    k, d = sample.seeds, sample.differences
    fixed = rule.looks is None  # what is known of a fixed number of seeds alone is not told at a stop
    if not fixed and not tested.may_decide:  # 1 among the others' tests, and nothing for a reader
        sample, tested = replace(sample, p_value=None), replace(tested, p_adjusted=None, p_no_effect=None)
    facts = Judgement(
        verdict="undecided" if k else without.verdict,
        ground=without.ground,  # a pair gives another one
        seeds=k,
        difference=sample.shown(sample.difference),
        interval=_shown(sample, interval),
        interval_confidence=1 - rule.level,
        p_value=sample.p_value,
        p_adjusted=tested.p_adjusted,
        more_seeds=None,
        guards=guards,
        with_failures=second,
        all_failed=without.runs,
    )
    judged = judge(sample, facts, tested, rule)
    if judged.verdict == "no effect" and interval is not None:
        # The interval of the two one-sided tests: it lies within the margins exactly where they decide.
        of_tests = evidence.interval(sample, rule.no_effect_level)
        judged = replace(judged, interval=_shown(sample, of_tests), interval_confidence=1 - rule.no_effect_level)
    return Comparison(
        seeds=k,
        baseline_mean=float(sample.baseline.mean()) if k else math.nan,
        variant_mean=float(sample.variant.mean()) if k else math.nan,
        baseline_sd=sample_sd(sample.baseline) if k >= 2 else None,
        variant_sd=sample_sd(sample.variant) if k >= 2 else None,
        difference=judged.difference,
        differences=tuple(sample.shown(value) for value in d.tolist()),
        interval=judged.interval,
        interval_confidence=judged.interval_confidence,
        p_value=sample.p_value,
        p_adjusted=tested.p_adjusted,
        p_no_effect=tested.p_no_effect,
        p_sign_flip=sign_flip_p_value(d) if k >= FEWEST_SIGN_FLIP_PAIRS and fixed and not rule.folds else None,
        probability_better=probability_better(d, higher_is_better=rule.higher_is_better) if k else math.nan,
        correlation=correlation(sample.baseline, sample.variant),
        smallest_detectable=None if detectable is None else sample.shown(detectable),
        verdict=judged.verdict,
        ground=judged.ground,
        reason=wording.reason(judged, rule),
        more_seeds=judged.more_seeds,
        guards=guards,
        with_failures=second,
        path=_path(sample, rule),
        replicates=rule.replicates,
        pooled=pooled,
    )


def _path(sample: Sample, rule: Rule) -> tuple[Look, ...]:
    """Every look so far, at the level that the correction asks of this variant now, in units of the differences."""
    if rule.looks is None or not sample.seeds:
        return ()
    at_level = replace(rule.looks, alpha=rule.level)
    matters = margins(rule.smallest_effect, relative=rule.relative)
    found = path(sample.differences, at_level, margins=matters, resolution=sample.resolution)
    return tuple(look.shown(sample.shown) for look in found)


def _shown(sample: Sample, interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (sample.shown(interval[0]), sample.shown(interval[1]))
