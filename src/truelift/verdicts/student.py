"""Student's t: critical values and power."""

import math
from functools import lru_cache

import numpy as np

from truelift.verdicts.special import special_functions


def critical(degrees: float, alpha: float) -> float:
    """The two-sided critical value of Student's t."""
    special = special_functions()

    return float(-special.stdtrit(degrees, alpha / 2))


def level_of(t: float, degrees: float) -> float:
    """The two-sided level whose critical value is t: the inverse of `critical`."""
    special = special_functions()

    return float(2 * special.stdtr(degrees, -t))


def power_of(shift: float, degrees: int, alpha: float) -> float:
    """The chance that a t-test of these degrees finds an effect of this noncentrality: either tail."""
    special = special_functions()

    threshold = critical(degrees, alpha)
    if threshold > _FAR * math.sqrt(degrees):
        return _power_far_out(shift, degrees, threshold)
    upper = 1 - special.nctdtr(degrees, shift, threshold)
    # The other tail is the chance of a finding of the wrong sign. SciPy gives NaN where it is below 1e-15.
    lower = float(special.nctdtr(degrees, shift, -threshold))
    return float(upper) + (0.0 if math.isnan(lower) else lower)


_FAR = 30
"""Times sqrt(degrees): thresholds from which on the noncentral t takes seconds, or is no number."""


def _power_far_out(shift: float, degrees: int, threshold: float) -> float:
    """The same over the normal numerator z in place of the noise s: |z + shift| > threshold s, both tails at once.

        E_z P(chi2_ν < ν ((z + shift)/threshold)²)

    By Gauss-Hermite, which is exact where the threshold is so large that the probability hardly changes with z.
    """
    z, weights = np.polynomial.hermite_e.hermegauss(40)
    reached = special_functions().chdtr(degrees, degrees * ((z + shift) / threshold) ** 2)
    return float(weights @ reached / weights.sum())


@lru_cache(maxsize=1024)
def noncentrality(degrees: int, alpha: float, power: float) -> float:
    """The noncentrality at which a t-test of these degrees has this power: an effect in standard errors."""
    low, high = 0.0, 1.0
    while power_of(high, degrees, alpha) < power:
        low, high = high, 2 * high
    # By halves: scipy.optimize would take longer to import than a report has.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if power_of(middle, degrees, alpha) < power else (low, middle)
    return middle


def spread_range(spread: float, seeds: int) -> tuple[float, float]:
    """Where the true standard deviation lies in 80 % of cases: s sqrt((k - 1) / chi2_{k-1}), at 0.9 and 0.1."""
    special = special_functions()

    low, high = (math.sqrt((seeds - 1) / special.chdtri(seeds - 1, tail)) for tail in (0.1, 0.9))
    return spread * low, spread * high
