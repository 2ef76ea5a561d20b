"""What a comparison over paired seeds finds, and what its verdict is held against."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["helps", "hurts", "undecided"]

Ground = Literal[
    "no pairs",  # no seed has both results
    "one seed",  # one pair, so no noise is known
    "no difference",  # all pairs are exactly equal
    "too small",  # significant, but below the smallest effect that matters
    "more than noise",  # significant, and large enough: helps or hurts
    "no spread",  # all pairs differ by the same, too few for their signs to decide
    "ruled out",  # the interval holds no effect that matters
    "chance",  # the interval excludes 0, the correction for several variants does not
    "too wide",  # the interval holds 0 and effects that matter
]

MOST_MORE_SEEDS = 1000  # nobody runs more; beyond it a number of seeds is no advice


@dataclass(frozen=True)
class Rule:
    """What a verdict is held against."""

    higher_is_better: bool
    smallest_effect: float
    confidence: float
    tests: int  # m, variants with a p-value
    unit: str

    @property
    def alpha(self) -> float:
        """The level of the tests."""
        return 1 - self.confidence

    @property
    def strictest_alpha(self) -> float:
        """The level that Holm's correction asks of the smallest p-value."""
        return self.alpha / self.tests


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with what its sentence tells. Units: as `Comparison`."""

    verdict: Verdict
    ground: Ground
    seeds: int
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    p_adjusted: float | None
    more_seeds: int | None


@dataclass(frozen=True)
class Comparison:
    """One variant against the baseline on one metric, over the complete pairs of seeds.

    Means, standard deviations and `resolution` are in units of the metric; `difference`, `differences`, `interval` and
    `smallest_detectable` are in the same units, or in percent of the baseline's mean in a relative comparison.
    Without a complete pair the means, the difference and `probability_better` are NaN.
    """

    seeds: int  # complete pairs used
    baseline_mean: float
    variant_mean: float
    baseline_sd: float | None  # sample standard deviation over the seeds; None below 2 pairs
    variant_sd: float | None
    difference: float  # mean of `differences`; its sign is not turned where lower is better
    differences: tuple[float, ...]  # variant - baseline, one a complete pair, in the order of the seeds
    interval: tuple[float, float] | None  # paired t, for this variant alone; None where there is no spread to use
    p_value: float | None  # two-sided paired t; None below 2 pairs
    p_adjusted: float | None  # Holm's, over the variants of one `compare`
    p_sign_flip: float | None  # exact sign flips; None below 6 pairs, where it cannot reach 0.05
    probability_better: float  # share of the pairs in which the variant is better, ties half
    correlation: float | None  # Pearson's, of the paired results; None below 3 pairs or without spread
    smallest_detectable: float | None  # effect found with 80 % power at this k, this spread and the level alpha/m
    verdict: Verdict
    ground: Ground  # which case decided
    reason: str  # the same in one sentence, by `wording.reason`
    more_seeds: int | None  # about how many more would decide; None where decided, unknown or above 1000
