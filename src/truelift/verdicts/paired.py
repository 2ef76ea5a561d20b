"""Paired differences over few seeds: spread, interval, p-values.

Letters: k paired seeds; d is the array of k paired differences, variant - baseline.

Seed k of every variant shares its randomness with seed k of the baseline, so differences are taken seed by seed: what
the two runs have in common cancels. The tests are Student's, which keep their false-positive rate at 3 seeds; a
percentile bootstrap does not (26 % in place of 5 % at k = 3, 16 % at k = 5).

Reference: Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks" (pairing, P(better)).
"""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truelift.errors import InputError
from truelift.verdicts.checks import Array, at_least_zero, differences_of, fraction
from truelift.verdicts.special import special_functions
from truelift.verdicts.student import critical

MOST_EXACT_SIGN_FLIP_PAIRS = 20  # 2^20 sums take 8 MB and some milliseconds
SIGN_FLIP_SAMPLES = 100_000
_MOST_KEPT_EIGHTS = 250  # 25 MB of drawn signs
# (8, 256): what eight differences are multiplied by, for every byte of their signs.
_PATTERNS = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[np.newaxis], axis=0) - 1


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
    d = differences_of(differences, fewest=2)
    at_least_zero("resolution", resolution)
    return max(sample_sd(d), resolution / math.sqrt(6))


def is_rounding(differences: Array, resolution: float) -> bool:
    """Whether `spread` is that of rounding, since the differences have less."""
    return differences.size >= 2 and sample_sd(differences) < resolution / math.sqrt(6)


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
    fraction("confidence", confidence)
    d = differences_of(differences, fewest=2)
    half = critical(d.size - 1, 1 - confidence) * spread(d, resolution=resolution) / math.sqrt(d.size)
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
    special = special_functions()

    d = differences_of(differences, fewest=2)
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
    d = differences_of(differences, fewest=1)
    # Patterns that tie with the observed one must count as hits, whatever order their floats were added in.
    threshold = abs(d.sum()) - 1e-12 * np.abs(d).sum()
    if d.size > MOST_EXACT_SIGN_FLIP_PAIRS:
        sums, part = np.zeros((2, SIGN_FLIP_SAMPLES))
        eights = np.append(d, np.zeros(-d.size % 8)).reshape(-1, 8)
        for of_eight, signs in zip(eights @ _PATTERNS, _signs(len(eights)), strict=True):
            # Into memory that is there (clip leaves every byte as it is): to get it anew takes five times as long.
            sums += of_eight.take(signs, out=part, mode="clip")
        return float((1 + np.count_nonzero(np.abs(sums) >= threshold)) / (1 + SIGN_FLIP_SAMPLES))
    sums = d[:1]  # the first sign stays: a pattern and its negative are both hits or both not
    for difference in d[1:]:
        sums = np.concatenate((sums + difference, sums - difference))
    return float(np.mean(np.abs(sums) >= threshold))


def _signs(eights: int) -> Iterable[NDArray[np.uint8]]:
    """For each eight pairs a byte a sample, whose bits are their signs: 1 for plus, the highest for the first pair.

    The same for every variant, and so drawn once for all of a study.
    """
    return _kept_signs(eights) if eights <= _MOST_KEPT_EIGHTS else _draw_signs(eights)


@lru_cache(maxsize=4)
def _kept_signs(eights: int) -> tuple[NDArray[np.uint8], ...]:
    return tuple(_draw_signs(eights))


def _draw_signs(eights: int) -> Iterator[NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    for _ in range(eights):
        signs = np.zeros(SIGN_FLIP_SAMPLES, np.uint8)
        for _ in range(8):
            signs <<= 1
            signs |= generator.integers(0, 2, size=SIGN_FLIP_SAMPLES).astype(np.uint8)
        yield signs


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
    d = differences_of(differences, fewest=1)
    gain = d if higher_is_better else -d
    return float(np.mean((gain > 0) + 0.5 * (gain == 0)))


def sample_sd(values: Array) -> float:
    """Standard deviation with k - 1; 0 where all numbers are equal."""
    # Equal numbers have no spread; their float mean may differ from them in the last bit and leave a residue.
    return 0.0 if is_constant(values) else float(values.std(ddof=1))


def is_constant(values: Array) -> bool:
    """Whether all numbers are one, but for rounding: 90.1 and 100 * 0.901 are. At least one number."""
    return float(np.ptp(values)) <= _rounding(values)


def without_rounding(values: Array, beside: Array) -> Array:
    """Numbers that are one but for rounding as that one; as those of `beside` where these are one too, and no other."""
    if not values.size or not is_constant(values):
        return values
    same = beside.size > 0 and is_constant(both := np.concatenate((beside, values)))
    return np.full_like(values, both[0] if same else values[0])


def _rounding(*arrays: Array) -> float:
    """What float arithmetic may leave of two equal numbers, as large as the largest of these."""
    return float(8 * np.finfo(np.float64).eps * max(np.abs(array).max() for array in arrays))


def correlation(baseline: Array, variant: Array) -> float | None:
    """Pearson's, of the paired results; None below 3 pairs or without spread."""
    # Two points always lie on a line.
    if baseline.size < 3 or is_constant(baseline) or is_constant(variant):
        return None
    return float(np.corrcoef(baseline, variant)[0, 1])


def exact_differences(baseline: Array, variant: Array, *, logs: bool = False) -> Array:
    """The paired differences, freed of the subtraction's rounding: 90.3 - 90.1 and 0.3 - 0.1 are the same number.

    Of logarithms the rounding is that of their numbers, also where these are near 1, and so the logarithms near 0.
    """
    d = variant - baseline
    if d.size == 0:
        return d
    rounding = _rounding(baseline, variant, *([np.ones(1)] if logs else []))
    d = np.where(np.abs(d) <= rounding, 0.0, d)
    return np.full_like(d, d[0]) if np.ptp(d) <= rounding else d


def complete_pairs(name: str, baseline: Array, variant: Array) -> tuple[Array, Array]:
    """Both arrays without the pairs of which a run is missing."""
    if variant.size != baseline.size:
        raise InputError(f'results of "{name}" must pair with {baseline.size} of the baseline, got {variant.size}.')
    complete = ~(np.isnan(baseline) | np.isnan(variant))
    return baseline[complete], variant[complete]
