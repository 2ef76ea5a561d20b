"""Is a variant better than the baseline by more than seed noise? Verdicts over paired seeds.

Letters: k paired seeds, m variants; d is the array of k paired differences, variant - baseline; D the smallest effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from truelift.metrics import Scale
from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts.checks import Array
from truelift.verdicts.comparison import Comparison, Rule, WithFailures
from truelift.verdicts.failures import Flags, Lost, all_failed, failed_of_pairs, flags_of, lost, second_line
from truelift.verdicts.guards import Guard, guard_samples, guarded, p_values, worst_p_value
from truelift.verdicts.judging import Tested
from truelift.verdicts.one_comparison import comparison_of
from truelift.verdicts.paired import is_constant
from truelift.verdicts.question import Pooling, Question
from truelift.verdicts.sample import sample_of
from truelift.verdicts.sequential import Looks
from truelift.verdicts.several import holm_by_name
from truelift.verdicts.tests_of_all import corrected, no_effect_of, tests_of


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
    asked.check_paired(variants)
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
    tests = tests_of(samples, asked)
    no_effect, no_effect_levels = holm_by_name(no_effect_of(samples, asked), asked.alpha)
    turned = [guard_samples(guard, evidence) for guard in guards]
    of_guards = [p_values(guard, one, evidence) for guard, one in zip(guards, turned, strict=True)]
    # A referee's budget is one-sided: of a level that is given for two sides, a guard has one.
    sides = 1 if asked.levels is None else 2
    both = {name: min(1.0, max(p, sides * worst_p_value(of_guards, name))) for name, p in tests.judged.items()}
    adjusted, levels = corrected(both, asked)
    levels = {name: level / sides for name, level in levels.items()}
    kept = [
        guarded(guard, one, p, levels, asked.alpha, evidence)
        for guard, one, p in zip(guards, turned, of_guards, strict=True)
    ]
    there = base[~np.isnan(base)]
    constant = not asked.may_be_constant and there.size >= FEWEST_SEEDS and is_constant(there)
    return {
        name: comparison_of(
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
            tests.pooled,
            tests.detectable[name],
            evidence,
        )
        for name, sample in samples.items()
    }
