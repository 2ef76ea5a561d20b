"""The comparison of one variant with the baseline, put together from its pairs and what was tested of them."""

import math
from dataclasses import replace

from truelift.verdicts import wording
from truelift.verdicts.comparison import Comparison, Judgement, Rule, WithFailures
from truelift.verdicts.evidence import Evidence
from truelift.verdicts.failures import Lost
from truelift.verdicts.guards import Guarded
from truelift.verdicts.judging import Tested, judge
from truelift.verdicts.paired import correlation, probability_better, sample_sd, sign_flip_p_value
from truelift.verdicts.sample import Sample, margins
from truelift.verdicts.sequential_path import Look, path

FEWEST_SIGN_FLIP_PAIRS = 6  # with 5 pairs the smallest two-sided p is 2/2^5 = 0.0625


def comparison_of(
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
    """A variant's comparison, with its verdict.

    Args:
        sample: Its pairs.
        tested: The p-values, adjusted over all variants.
        interval: Of the difference, in working units; None where there is none.
        rule: What the tests are held against.
        guards: What was found of other metrics.
        second: What comes out where failed runs count as the worst result.
        without: What is said where it has no pair.
        pooled: Whether the noise is pooled over variants.
        detectable: The smallest effect that is found, in working units.
        evidence: How pairs are tested.
    """
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
