"""Is a variant better than the baseline by more than seed noise? Paired statistics over few seeds.

Letters: k paired seeds, m variants, N test images; d is the array of k paired differences, variant - baseline.

Seed k of every variant shares its randomness with seed k of the baseline, so differences are taken seed by seed: what
the two runs have in common cancels. The tests are Student's, which keep their false-positive rate at 3 seeds; a
percentile bootstrap does not (26 % in place of 5 % at k = 3, 16 % at k = 5).

References:
    Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks" (pairing, P(better)).
    Jordan 2023, "On the Variance of Neural Network Training" (noise over seeds against noise over test images).
    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    Welch 1947, "The Generalization of 'Student's' Problem when Several Different Population Variances are Involved".
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from truelift.errors import InputError, require

Verdict = Literal["helps", "hurts", "undecided"]
Array = NDArray[np.float64]

POWER = 0.8  # the customary chance of finding an effect that is there
MOST_MORE_SEEDS = 1000  # nobody runs more; beyond it a number of seeds is no advice
FEWEST_SIGN_FLIP_PAIRS = 6  # with 5 pairs the smallest two-sided p is 2/2^5 = 0.0625
MOST_EXACT_SIGN_FLIP_PAIRS = 20  # 2^20 sums take 8 MB and some milliseconds
SIGN_FLIP_SAMPLES = 100_000


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
    reason: str  # one sentence
    more_seeds: int | None  # about how many more would decide; None where decided, unknown or above 1000


def spread(differences: ArrayLike, *, resolution: float = 0.0) -> float:
    """The standard deviation of paired differences, floored at what the metric's own rounding adds.

        s = sqrt(max(sum_i (d_i - mean(d))^2 / (k - 1), resolution^2 / 6))

    A metric read in steps of r is a rounded number, with a rounding error of variance r^2/12; a difference of two has
    r^2/6. Few differences can agree by rounding alone, and a sample spread of 0 would then claim certainty (p = 0).

    Args:
        differences: k >= 2 paired differences.
        resolution: The metric's smallest step r >= 0, in units of the differences; 0 for a continuous metric.

    Raises:
        InputError: For fewer than 2 differences, values that are not finite, or a negative resolution.
    """
    d = _differences(differences, fewest=2)
    _at_least_zero("resolution", resolution)
    return max(_sample_sd(d), resolution / math.sqrt(6))


def paired_t_interval(
    differences: ArrayLike, *, confidence: float = 0.95, resolution: float = 0.0
) -> tuple[float, float]:
    """Student's interval for the mean of paired differences: mean(d) +- t_{k-1} s / sqrt(k), s from `spread`.

    Args:
        differences: k >= 2 paired differences.
        confidence: Coverage, in (0, 1).
        resolution: See `spread`.

    Returns:
        Lower and upper end, in units of the differences; the same number twice where the spread is 0.

    Raises:
        InputError: As `spread`, and for a confidence outside (0, 1).
    """
    _fraction("confidence", confidence)
    d = _differences(differences, fewest=2)
    half = _critical(d.size - 1, 1 - confidence) * spread(d, resolution=resolution) / math.sqrt(d.size)
    return float(d.mean()) - half, float(d.mean()) + half


def paired_t_p_value(differences: ArrayLike, *, resolution: float = 0.0) -> float:
    """Two-sided p-value of Student's paired test of a mean difference of 0: t = mean(d) sqrt(k) / s, k-1 degrees.

    Where all differences are 0 it is 1. Where all are one other number and the resolution is 0, there is no spread to
    hold the mean against: t would be infinite and p = 0 even with two seeds, a certainty that two numbers cannot give.
    What such data does show is k equal signs, which chance gives with probability 2^(1-k), the sign-flip p-value; that
    is returned, so agreement to the last digit decides at 0.05 from 6 seeds on. A metric with steps (parameters, steps
    trained, correct images) should state its resolution instead, and is then decided with fewer seeds.

    Args:
        differences: k >= 2 paired differences.
        resolution: See `spread`.

    Raises:
        InputError: As `spread`.
    """
    d = _differences(differences, fewest=2)
    mean, s = float(d.mean()), spread(d, resolution=resolution)
    if mean == 0:
        return 1.0
    if s == 0:
        return 2.0 ** (1 - d.size)
    return float(2 * special.stdtr(d.size - 1, -abs(mean) * math.sqrt(d.size) / s))


def sign_flip_p_value(differences: ArrayLike) -> float:
    """Two-sided randomisation p-value: the share of the 2^k sign patterns with |sum(+-d_i)| >= |sum(d_i)|.

    It assumes no distribution, only that without an effect a difference is as likely as its negative. It cannot go
    under 2^(1-k): 0.0625 at 5 pairs. Exact up to 20 pairs; beyond, (1 + hits)/(1 + 100000) over 100,000 patterns drawn
    with a fixed seed, which is a valid p-value with a standard error below 0.0007 near 0.05.

    Args:
        differences: k >= 1 paired differences.

    Raises:
        InputError: For no differences or values that are not finite.
    """
    d = _differences(differences, fewest=1)
    # Patterns that tie with the observed one must count as hits, whatever order their floats were added in.
    threshold = abs(d.sum()) - 1e-12 * np.abs(d).sum()
    if d.size > MOST_EXACT_SIGN_FLIP_PAIRS:
        generator = np.random.default_rng(0)
        sums = np.zeros(SIGN_FLIP_SAMPLES)
        for difference in d:  # one pair at a time: no pairs x samples matrix
            sums += difference * generator.choice((-1.0, 1.0), size=SIGN_FLIP_SAMPLES)
        return float((1 + np.count_nonzero(np.abs(sums) >= threshold)) / (1 + SIGN_FLIP_SAMPLES))
    sums = d[:1]  # the first sign stays: a pattern and its negative are both hits or both not
    for difference in d[1:]:
        sums = np.concatenate((sums + difference, sums - difference))
    return float(np.mean(np.abs(sums) >= threshold))


def holm(p_values: ArrayLike) -> Array:
    """Holm's (1979) step-down adjustment: the chance of any false positive among m tests stays below the level.

        adjusted_(i) = min(1, max_{j <= i} (m - j + 1) p_(j)),   p_(1) <= ... <= p_(m)

    Args:
        p_values: m p-values in [0, 1], in any order.

    Returns:
        The adjusted p-values in the order given.

    Raises:
        InputError: For a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    for value in p[~((p >= 0) & (p <= 1))]:
        raise InputError(f"p_values must lie in [0, 1], got {value}.")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(p.size, 0, -1) * p[order]))
    return adjusted


def probability_better(differences: ArrayLike, *, higher_is_better: bool) -> float:
    """The share of pairs in which the variant is better, ties counted half (Bouthillier et al. 2021).

    Args:
        differences: k >= 1 paired differences, variant - baseline.
        higher_is_better: Whether a positive difference is an improvement.

    Returns:
        A fraction in [0, 1]; 0.5 where neither is better. With few seeds a coarse number: steps of 1/(2k).

    Raises:
        InputError: For no differences or values that are not finite.
    """
    d = _differences(differences, fewest=1)
    gain = d if higher_is_better else -d
    return float(np.mean((gain > 0) + 0.5 * (gain == 0)))


def power_paired_t(effect: float, sd: float, seeds: int, alpha: float = 0.05) -> float:
    """The chance that a paired t-test at level `alpha` finds a true mean difference of `effect`.

        P(|T| > t_{k-1, 1 - alpha/2}),   T noncentral t with k - 1 degrees, noncentrality |effect| sqrt(k) / sd

    Args:
        effect: True mean difference; its sign does not matter.
        sd: Standard deviation of the paired differences, > 0, in the same units.
        seeds: Pairs k >= 2.
        alpha: Two-sided level, in (0, 1).

    Raises:
        InputError: For an argument outside its range.
    """
    _positive("sd", sd)
    _enough_seeds(seeds)
    _fraction("alpha", alpha)
    return _power(abs(effect) * math.sqrt(seeds) / sd, seeds - 1, alpha)


def seeds_needed(effect: float, sd: float, *, power: float = POWER, alpha: float = 0.05, paired: bool = True) -> int:
    """The fewest seeds with which a t-test at level `alpha` finds `effect` with the given power.

    Paired, it is the k of `power_paired_t`. Unpaired, it plans the two-sample test (Welch's, both arms with the same
    `sd` and k seeds each): noncentrality |effect| sqrt(k/2) / sd with 2k - 2 degrees. An effect of 2 sd takes 6 seeds
    an arm, 1.5 -> 9, 1 -> 17, 0.5 -> 64.

    Args:
        effect: True mean difference, not 0; its sign does not matter.
        sd: > 0, in the same units: of the paired differences if paired, else of one arm's results. With a correlation
            of c between the paired results, sd_of_differences = sd_of_results sqrt(2 (1 - c)).
        power: Chance of finding the effect, in (alpha, 1).
        alpha: Two-sided level, in (0, 1).
        paired: Whether seeds are paired.

    Returns:
        Pairs, or seeds an arm; at least 2.

    Raises:
        InputError: For an argument outside its range.
    """
    _positive("sd", sd)
    _positive("the size of effect", abs(effect))
    _planned_power(power, alpha)
    size, arms = abs(effect) / sd, 1 if paired else 2

    def power_of(seeds: int) -> float:
        return _power(size * math.sqrt(seeds / arms), arms * (seeds - 1), alpha)

    # The normal test needs a few seeds less than the t-test; above a million that is no difference worth a search.
    normal = arms * float((special.ndtri(1 - alpha / 2) + special.ndtri(power)) / size) ** 2
    seeds = max(2, math.ceil(normal))
    if seeds > 1_000_000:
        return seeds
    while seeds > 2 and power_of(seeds - 1) >= power:
        seeds -= 1
    while power_of(seeds) < power:
        seeds += 1
    return seeds


def detectable_effect(sd: float, seeds: int, *, power: float = POWER, alpha: float = 0.05) -> float:
    """The mean difference that a paired t-test with k seeds finds with the given power.

    Args:
        sd: Standard deviation of the paired differences, > 0.
        seeds: Pairs k >= 2.
        power: Chance of finding the effect, in (alpha, 1).
        alpha: Two-sided level, in (0, 1).

    Returns:
        A size > 0 in units of `sd`: `power_paired_t` of it is `power`.

    Raises:
        InputError: For an argument outside its range.
    """
    _positive("sd", sd)
    _enough_seeds(seeds)
    _planned_power(power, alpha)
    return _noncentrality(seeds - 1, alpha, power) * sd / math.sqrt(seeds)


def example_standard_error(correct_baseline: ArrayLike, correct_variant: ArrayLike) -> float:
    """The standard error of an accuracy difference over test images: what another test set of this size would change.

        d_i = mean over seeds of (variant right on image i) - (baseline right on image i);   100 sd(d_i) / sqrt(N)

    It is the other noise: more seeds do not shrink it, more test images do. Most of the variance between runs of one
    configuration is of this kind, luck with a finite test set (Jordan 2023). Images that both get right, or both
    wrong, cancel, so it is smaller than the error of either accuracy.

    Args:
        correct_baseline: Booleans of shape (k, N), whether seed k of the baseline is right on image N.
        correct_variant: The same of the variant, for the same seeds and images.

    Returns:
        The standard error of the mean difference, in percentage points.

    Raises:
        InputError: For arrays that are not boolean, not of one shape (k, N), or with k < 1 or N < 2.
    """
    baseline, variant = np.asarray(correct_baseline), np.asarray(correct_variant)
    for name, array in (("correct_baseline", baseline), ("correct_variant", variant)):
        if array.dtype != np.bool_:
            raise InputError(f"{name} must be boolean, got {array.dtype}.")
    if baseline.shape != variant.shape:
        raise InputError(f"correct_variant must have the baseline's shape {baseline.shape}, got {variant.shape}.")
    if baseline.ndim != 2 or baseline.shape[0] < 1 or baseline.shape[1] < 2:
        raise InputError(f"correct_baseline must be seeds x images with 2 images or more, got {baseline.shape}.")
    d = variant.mean(axis=0) - baseline.mean(axis=0)
    return float(100 * d.std(ddof=1) / math.sqrt(d.size))


def agreement_interval(
    ours: ArrayLike, *, runs: int = 1, sd: float | None = None, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Where another's mean of k runs lies if it is of the same training as our n: outside it, the two differ.

        without an sd:  mean ± t_{n-1} s sqrt(1/n + 1/k), the prediction interval for k further runs of ours
        with an sd s':  mean ± t_ν sqrt(s²/n + s'²/k), Welch's test, with Satterthwaite's degrees
                        ν = (s²/n + s'²/k)² / ((s²/n)²/(n - 1) + (s'²/k)²/(k - 1))

    A single published run has the noise of one run, so it is not held to the interval of our mean, which would shrink
    to nothing with many seeds of ours.

    Args:
        ours: n results, one a seed.
        runs: The runs k >= 1 that the other's mean is of.
        sd: Their sample standard deviation, at least 0, for k >= 2.
        confidence: The share of intervals that hold a mean of the same training, in (0, 1).

    Returns:
        Lower and upper end, or None where our noise cannot be told: below 2 results, or where all are equal.

    Raises:
        InputError: For an argument outside its range, or results that are not finite.
    """
    values = _results("ours", ours)
    require("runs", runs, runs >= 1, "at least 1")
    _fraction("confidence", confidence)
    if sd is not None:
        _at_least_zero("sd", sd)
        require("runs", runs, runs >= 2, "at least 2 where they have an sd")
    require("ours", values.tolist(), not np.isnan(values).any(), "finite")
    n = values.size
    if n < 2 or not _sample_sd(values):
        return None
    variance = _sample_sd(values) ** 2
    mine, theirs = variance / n, (variance if sd is None else sd**2) / runs
    degrees = n - 1.0 if sd is None else (mine + theirs) ** 2 / (mine**2 / (n - 1) + theirs**2 / (runs - 1))
    half = _critical(degrees, 1 - confidence) * math.sqrt(mine + theirs)
    return float(values.mean()) - half, float(values.mean()) + half


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
    _at_least_zero("smallest_effect", smallest_effect)
    _at_least_zero("resolution", resolution)
    _fraction("confidence", confidence)
    base = _results("baseline", baseline)
    samples = {
        name: _sample(*_complete_pairs(name, base, _results(name, values)), relative=relative, resolution=resolution)
        for name, values in variants.items()
    }
    tested = {name: sample.p_value for name, sample in samples.items() if sample.p_value is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())).tolist(), strict=True))
    rule = _Rule(higher_is_better, smallest_effect, confidence, tests=max(1, len(tested)), unit=unit)
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
    scale = _percent_of(baseline) if relative and baseline.size else 1.0
    d, step = scale * _exact_differences(baseline, variant), scale * resolution
    if d.size < 2:
        return _Sample(baseline, variant, d, step, None, None)
    return _Sample(baseline, variant, d, step, spread(d, resolution=step), paired_t_p_value(d, resolution=step))


@dataclass(frozen=True)
class _Rule:
    """What a verdict is held against."""

    higher_is_better: bool
    smallest_effect: float
    confidence: float
    tests: int  # m, variants with a p-value
    unit: str

    @property
    def alpha(self) -> float:
        return 1 - self.confidence

    @property
    def strictest_alpha(self) -> float:
        """The level that Holm's correction asks of the smallest p-value."""
        return self.alpha / self.tests

    def amount(self, value: float, sign: str = "") -> str:
        """A number with its unit; three digits, but never 1.23e+04."""
        number = f"{value:{sign}.3g}" if abs(value) < 1000 else f"{value:{sign},.0f}"
        return f"{number} {self.unit}".strip()


def _comparison(sample: _Sample, p_adjusted: float | None, rule: _Rule) -> Comparison:
    k, d = sample.seeds, sample.differences
    interval = detectable = None
    if sample.spread:  # neither unknown nor 0: without spread an interval of no width would claim certainty
        interval = paired_t_interval(d, confidence=rule.confidence, resolution=sample.resolution)
        detectable = detectable_effect(sample.spread, k, alpha=rule.strictest_alpha)
    verdict, reason, more_seeds = _judge(sample, interval, p_adjusted, rule)
    return Comparison(
        seeds=k,
        baseline_mean=float(sample.baseline.mean()) if k else math.nan,
        variant_mean=float(sample.variant.mean()) if k else math.nan,
        baseline_sd=_sample_sd(sample.baseline) if k >= 2 else None,
        variant_sd=_sample_sd(sample.variant) if k >= 2 else None,
        difference=sample.difference,
        differences=tuple(d.tolist()),
        interval=interval,
        p_value=sample.p_value,
        p_adjusted=p_adjusted,
        p_sign_flip=sign_flip_p_value(d) if k >= FEWEST_SIGN_FLIP_PAIRS else None,
        probability_better=probability_better(d, higher_is_better=rule.higher_is_better) if k else math.nan,
        correlation=_correlation(sample.baseline, sample.variant),
        smallest_detectable=detectable,
        verdict=verdict,
        reason=reason,
        more_seeds=more_seeds,
    )


def _judge(
    sample: _Sample, interval: tuple[float, float] | None, p_adjusted: float | None, rule: _Rule
) -> tuple[Verdict, str, int | None]:
    """Verdict, reason and the number of seeds that would decide, tried from the plainest case to the subtlest."""
    k, difference, amount = sample.seeds, sample.difference, rule.amount
    if k == 0:
        return "undecided", "No seed has a result of both the baseline and the variant.", None
    if p_adjusted is None or sample.p_value is None:
        return "undecided", "One seed decides nothing: without a second there is no noise to hold it against.", None
    if not sample.differences.any():
        reason = f"All {k} seeds gave exactly the baseline's result: does the variant change anything?"
        return "undecided", reason, None

    if p_adjusted <= rule.alpha:
        if abs(difference) < rule.smallest_effect:
            matters = amount(rule.smallest_effect)
            reason = (
                f"Real ({_p(p_adjusted)}), but {amount(difference, '+')} is smaller than the {matters} that matter."
            )
            return "undecided", reason, None
        better = (difference > 0) == rule.higher_is_better
        word = "Better" if better else "Worse"
        reason = f"{word} by {amount(abs(difference))}, more than seed noise explains ({k} seeds, {_p(p_adjusted)})."
        return ("helps" if better else "hurts"), reason, None

    if interval is None:
        more = math.ceil(1 - math.log2(rule.strictest_alpha)) - k  # until 2^(1 - k) reaches the level
        reason = f"All {k} seeds differ by exactly {amount(difference, '+')}, so there is no noise to hold it against"
        return "undecided", f"{reason}; {_more(more)}.", more

    low, high = interval
    ends = f"{_ends(low, high)} {rule.unit}".strip()
    level = f"{100 * rule.confidence:.3g} %"
    if -rule.smallest_effect < low and high < rule.smallest_effect:
        reason = f"An effect of {amount(rule.smallest_effect)} is ruled out either way: the {level} interval is {ends}."
        return "undecided", reason, None
    planned = _planned_more_seeds(sample, rule)
    if low > 0 or high < 0:
        reason = (
            f"The {level} interval, {ends}, excludes 0, but with {rule.tests} variants that can be chance "
            f"({_p(sample.p_value)}, by Holm's correction {_p(p_adjusted)})"
        )
    else:
        reason = f"The {level} interval, {ends}, includes both 0 and effects that matter"
    return "undecided", f"{reason}; {_more(planned)}.", planned


def _ends(low: float, high: float) -> str:
    """An interval, both ends with as many places as show its half width with three digits, and neither end as 0."""
    places = max(0, 2 - math.floor(math.log10((high - low) / 2)))
    places = places_that_show((low, high), places)
    return f"{low:+,.{places}f} to {high:+,.{places}f}"


def places_that_show(ends: Iterable[float], places: int) -> int:
    """`places` after the point, or one more where an end would read 0.

    That would hide on which side of 0 it lies, and that is what an interval is looked at for.
    """
    return places + any(end and not round(end, places) for end in ends)


def _planned_more_seeds(sample: _Sample, rule: _Rule) -> int | None:
    """Seeds to add for a power of 80 %; at least 1, because the k there are did not decide. None above 1000."""
    effect = max(abs(sample.difference), rule.smallest_effect)
    most = sample.seeds + MOST_MORE_SEEDS
    # Asked first: the number itself is long to find, and useless, where the effect is next to nothing.
    if not sample.spread or power_paired_t(effect, sample.spread, most, rule.strictest_alpha) < POWER:
        return None
    return max(1, seeds_needed(effect, sample.spread, alpha=rule.strictest_alpha) - sample.seeds)


def _more(seeds: int | None) -> str:
    if seeds is None:
        return f"more than {MOST_MORE_SEEDS} more seeds would be needed to decide"
    return f"about {seeds} more {'seed' if seeds == 1 else 'seeds'} would decide"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _power(noncentrality: float, degrees: int, alpha: float) -> float:
    critical = _critical(degrees, alpha)
    upper = 1 - special.nctdtr(degrees, noncentrality, critical)
    # The other tail is the chance of a finding of the wrong sign. SciPy gives NaN where it is below 1e-15.
    lower = float(special.nctdtr(degrees, noncentrality, -critical))
    return float(upper) + (0.0 if math.isnan(lower) else lower)


@lru_cache(maxsize=1024)
def _noncentrality(degrees: int, alpha: float, power: float) -> float:
    """The noncentrality at which a t-test of these degrees has this power: an effect in standard errors."""
    high = 1.0
    while _power(high, degrees, alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda value: _power(value, degrees, alpha) - power, 0.0, high))


def _critical(degrees: float, alpha: float) -> float:
    """The two-sided critical value of Student's t."""
    return float(-special.stdtrit(degrees, alpha / 2))


def _exact_differences(baseline: Array, variant: Array) -> Array:
    """The paired differences, freed of the subtraction's rounding: 90.3 - 90.1 and 0.3 - 0.1 are the same number."""
    d = variant - baseline
    if d.size == 0:
        return d
    rounding = 8 * np.finfo(np.float64).eps * max(np.abs(baseline).max(), np.abs(variant).max())
    d = np.where(np.abs(d) <= rounding, 0.0, d)
    return np.full_like(d, d[0]) if np.ptp(d) <= rounding else d


def _sample_sd(values: Array) -> float:
    # Equal numbers have no spread; their float mean may differ from them in the last bit and leave a residue.
    return 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))


def _correlation(baseline: Array, variant: Array) -> float | None:
    # Two points always lie on a line.
    if baseline.size < 3 or np.ptp(baseline) == 0 or np.ptp(variant) == 0:
        return None
    return float(np.corrcoef(baseline, variant)[0, 1])


def _percent_of(baseline: Array) -> float:
    mean = float(baseline.mean())
    if mean <= 0:
        raise InputError(f"a relative comparison needs a baseline with a mean above 0, got {mean}.")
    return 100 / mean


def _results(name: str, values: ArrayLike) -> Array:
    results = np.asarray(values, dtype=np.float64)
    if results.ndim != 1:
        raise InputError(f'results of "{name}" must be one number a seed, got shape {results.shape}.')
    if np.isinf(results).any():
        raise InputError(f'results of "{name}" must be finite, or NaN for a missing run, got {results.tolist()}.')
    return results


def _complete_pairs(name: str, baseline: Array, variant: Array) -> tuple[Array, Array]:
    if variant.size != baseline.size:
        raise InputError(f'results of "{name}" must pair with {baseline.size} of the baseline, got {variant.size}.')
    complete = ~(np.isnan(baseline) | np.isnan(variant))
    return baseline[complete], variant[complete]


def _differences(values: ArrayLike, *, fewest: int) -> Array:
    d = np.asarray(values, dtype=np.float64)
    if d.ndim != 1 or d.size < fewest:
        raise InputError(f"differences must be {fewest} numbers or more, got shape {d.shape}.")
    if not np.isfinite(d).all():
        raise InputError(f"differences must be finite, got {d.tolist()}.")
    return d


def _enough_seeds(seeds: int) -> None:
    if seeds < 2:
        raise InputError(f"seeds must be 2 or more, got {seeds}.")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be finite and above 0, got {value}.")


def _at_least_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} must be finite and at least 0, got {value}.")


def _fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise InputError(f"{name} must be between 0 and 1, got {value}.")


def _planned_power(power: float, alpha: float) -> None:
    _fraction("alpha", alpha)
    if not alpha < power < 1:  # without any effect the power is alpha already
        raise InputError(f"power must be between alpha = {alpha} and 1, got {power}.")
