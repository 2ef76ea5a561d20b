"""Is an effect too small to matter? Two one-sided tests, and one of them: not worse by more than a limit.

Letters: k paired seeds; d is the array of k paired differences, variant - baseline; s from `spread`.

References: Schuirmann 1987, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach for Assessing the
Equivalence of Average Bioavailability"; Holm 1979 for several variants.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError
from truelift.verdicts.checks import differences_of
from truelift.verdicts.paired import spread
from truelift.verdicts.special import special_functions


def below_p_value(differences: ArrayLike, limit: float, *, resolution: float = 0.0) -> float:
    """One-sided p-value of the test that the mean difference is below `limit`: small where it is.

        P(t_{k-1} <= (mean(d) - limit) sqrt(k) / s)

    Without any spread the signs decide, as in `paired_t_p_value`: 2^-k where the mean lies below the limit, else 1.

    Args:
        differences: k >= 2 paired differences.
        limit: In units of the differences; inf is always above, so p = 0.
        resolution: See `spread`.

    Raises:
        InputError: As `spread`, and for a limit that is NaN.
    """
    special = special_functions()

    d = differences_of(differences, fewest=2)
    if math.isnan(limit):
        raise InputError(f"limit must be a number, got {limit}.")
    if math.isinf(limit):
        return 0.0 if limit > 0 else 1.0
    gap, s = float(d.mean()) - limit, spread(d, resolution=resolution)
    if s == 0:
        return 2.0**-d.size if gap < 0 else 1.0
    return float(special.stdtr(d.size - 1, gap * math.sqrt(d.size) / s))


def equivalence_p_value(differences: ArrayLike, low: float, high: float, *, resolution: float = 0.0) -> float:
    """P-value of two one-sided tests that the mean difference lies between `low` and `high`: the larger of the two.

    At level a it is rejected exactly where the interval of confidence 1 - 2a lies between the two.

    Args:
        differences: k >= 2 paired differences.
        low: The lower margin, below `high`, in units of the differences.
        high: The upper margin.
        resolution: See `spread`.

    Raises:
        InputError: As `below_p_value`, and for low >= high.
    """
    if not low < high:
        raise InputError(f"low must be below high, got {low} and {high}.")
    d = differences_of(differences, fewest=2)
    above = below_p_value(np.negative(d), -low, resolution=resolution)
    return max(above, below_p_value(d, high, resolution=resolution))
