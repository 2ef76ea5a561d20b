"""What a comparison over paired seeds finds, and what its verdict is held against."""

from dataclasses import dataclass
from typing import Literal, get_args

from truelift.verdicts.guards import Guarded
from truelift.verdicts.sequential import Looks
from truelift.verdicts.sequential_path import Look

Verdict = Literal["helps", "hurts", "no effect", "undecided", "failed"]
"""`failed` is of a variant all of whose runs failed: there is nothing to judge."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

Ground = Literal[
    "all failed",  # every run of the variant failed
    "baseline failed",  # every run of the baseline failed
    "no pairs",  # no seed has both results
    "one seed",  # one pair, so no noise is known
    "no look yet",  # a study that is judged while it grows has not reached its first look
    "two seeds",  # two pairs, whose noise rests on normality alone
    "constant baseline",  # all of the baseline's results are one number
    "no difference",  # all pairs are exactly equal
    "more than noise",  # significant, and large enough: helps or hurts
    "guard kept",  # the same, and every guard holds
    "guard open",  # better, but a guard is not shown to hold
    "guard broken",  # a guard is shown to be broken: hurts
    "failures",  # the verdict is another one where failed runs count as the worst
    "equivalent",  # two one-sided tests: no effect as large as the smallest effect
    "too small",  # significant, the mean below the smallest effect, but that is not shown
    "no spread",  # all pairs differ by the same, too few for their signs to decide
    "chance",  # significant alone, not with the correction for several variants
    "too wide",  # the interval holds 0 and effects that matter
]

Replicates = Literal["seeds", "folds", "runs"]
"""What is compared: pairs under one seed, pairs on one fold of a data set, or runs that are no pairs."""

Ended = Literal["decided", "futile", "last look"]
"""Why a variant needs no more seeds."""

MOST_MORE_SEEDS = 1000  # nobody runs more; beyond it a number of seeds is no advice


@dataclass(frozen=True)
class Rule:
    """What one variant's verdict is held against."""

    higher_is_better: bool
    smallest_effect: float
    confidence: float
    tests: int  # m, variants with a p-value
    unit: str
    relative: bool = False
    level: float = 0.05  # that Holm's correction asks of this variant now
    no_effect_level: float = 0.05  # the same in the family of equivalence tests
    looks: Looks | None = None  # of a study that is judged while it grows
    refereed: bool = False  # the level is a referee's, in place of Holm's
    replicates: Replicates = "seeds"

    @property
    def folds(self) -> bool:
        """Whether the pairs are folds of one data set, which are as many as it was cut into."""
        return self.replicates == "folds"

    @property
    def alpha(self) -> float:
        """The level of the tests, over all variants."""
        return 1 - self.confidence


@dataclass(frozen=True, kw_only=True)
class WithFailures:
    """The second line: every failed run counted as the worst result that any run of the study reached."""

    runs: int
    """Failed runs of the variant and the baseline that count so."""
    difference: float
    p_adjusted: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Where a variant stands in a study that is judged while it grows."""

    seeds: int
    """Of the plan's seeds, how many are judged: its data are those of the first so many."""
    ended: Ended | None
    """Why it needs no more; None where it goes on."""
    most: int
    """Of the plan."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with what its sentence tells. Units: as `Comparison`."""

    verdict: Verdict
    ground: Ground
    seeds: int
    difference: float
    interval: tuple[float, float] | None
    interval_confidence: float
    p_value: float | None
    p_adjusted: float | None
    more_seeds: tuple[int, int | None] | None
    guards: tuple[Guarded, ...] = ()
    with_failures: WithFailures | None = None
    all_failed: int = 0
    """Of a variant, or else a baseline, all of whose runs failed: how many."""


@dataclass(frozen=True)
class Comparison:
    """One variant against the baseline on one metric, over the complete pairs of seeds.

    Means, standard deviations and `resolution` are in units of the metric; `difference`, `differences`, `interval` and
    `smallest_detectable` are in the same units, or where relative in percent of the baseline, from log ratios.
    Without a complete pair the means, the difference and `probability_better` are NaN.
    """

    seeds: int  # complete pairs used
    baseline_mean: float
    variant_mean: float
    baseline_sd: float | None  # sample standard deviation over the seeds; None below 2 pairs
    variant_sd: float | None
    difference: float  # mean of `differences` (relative: their geometric mean); not turned where lower is better
    differences: tuple[float, ...]  # variant - baseline, one a complete pair, in the order of the seeds
    interval: tuple[float, float] | None  # paired t at `interval_confidence`; None where there is no spread to use
    interval_confidence: float  # it excludes 0 where `p_adjusted` decides; within +-D for no effect
    p_value: float | None  # two-sided paired t; None below 2 pairs
    p_adjusted: float | None  # over the variants of one `compare`: Holm's, or the pooled one
    p_no_effect: float | None  # twice that of two one-sided tests, Holm's; None without a smallest effect
    p_sign_flip: float | None  # exact sign flips; None below 6 pairs, where it cannot reach 0.05
    probability_better: float  # share of the pairs in which the variant is better, ties half
    correlation: float | None  # Pearson's, of the paired results; None below 3 pairs or without spread
    smallest_detectable: float | None  # effect found with 80 % power at this k and level, if the noise is as seen
    verdict: Verdict
    ground: Ground  # which case decided
    reason: str  # the same in one sentence, by `wording.reason`
    more_seeds: tuple[int, int | None] | None  # from how many to how many more; None above 1000, or not known
    guards: tuple[Guarded, ...]  # in the order given
    with_failures: WithFailures | None  # None where no run of the variant or the baseline failed
    path: tuple[Look, ...] = ()  # every look so far, of a study that is judged while it grows; else empty
    replicates: Replicates = "seeds"
    stop: Stop | None = None  # where such a study stopped for this variant
    pooled: bool = False  # whether one noise for all variants was used beside its own

    @property
    def failed_throughout(self) -> bool:
        """Whether every run of the variant failed, or every run of the baseline: nothing was seen of its worth."""
        return self.ground in ("all failed", "baseline failed")
