"""Variants against a baseline where runs are no pairs: Welch's test.

Letters: n runs of the baseline, k of the variant, with means m and variances s².

    difference = m_v - m_b,   se² = s_b²/n + s_v²/k,   t = difference/se
    ν = (s_b²/n + s_v²/k)² / ((s_b²/n)²/(n - 1) + (s_v²/k)²/(k - 1))     (Satterthwaite)

Reference: Welch 1947, "The Generalization of 'Student's' Problem when Several Different Population Variances are
Involved".
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError
from truelift.verdicts.checks import Array, at_least_zero, fraction, results_of
from truelift.verdicts.paired import sample_sd, without_rounding
from truelift.verdicts.special import special_functions
from truelift.verdicts.student import critical


@dataclass(frozen=True)
class Welch:
    """Two samples, as Welch's test sees them."""

    difference: float
    """Mean of the variant less that of the baseline."""
    error: float
    """Its standard error; 0 where neither side has any spread."""
    degrees: float
    """Satterthwaite's degrees of freedom."""

    @property
    def p_value(self) -> float:
        """Two-sided; 0 or 1 where there is no spread."""
        return min(1.0, 2 * self.tail(abs(self.difference)))

    def tail(self, distance: float) -> float:
        """The chance that the difference lies so far above its true value, or farther."""
        special = special_functions()

        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(special.stdtr(self.degrees, -distance / self.error))

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """For the true difference; None where there is no spread.

        Raises:
            InputError: For a confidence outside (0, 1).
        """
        fraction("confidence", confidence)
        if self.error == 0:
            return None
        half = critical(self.degrees, 1 - confidence) * self.error
        return self.difference - half, self.difference + half


def welch(baseline: ArrayLike, variant: ArrayLike, *, resolution: float = 0.0) -> Welch:
    """Two samples by Welch's test.

    Results that differ in the last bits of a float alone are one number: that is rounding, and no noise.

    Args:
        baseline: n >= 2 results.
        variant: k >= 2 results.
        resolution: The metric's smallest step r >= 0; a variance is never taken as less than r²/12, that of rounding.

    Raises:
        InputError: For fewer results, or such as are not finite.
    """
    at_least_zero("resolution", resolution)
    ours, theirs = (_several(name, values) for name, values in (("baseline", baseline), ("variant", variant)))
    ours, theirs = without_rounding(ours, ours), without_rounding(theirs, ours)
    parts = [max(sample_sd(v) ** 2, resolution**2 / 12) / v.size for v in (ours, theirs)]
    freedom = sum(part**2 / (v.size - 1) for part, v in zip(parts, (ours, theirs), strict=True))
    degrees = sum(parts) ** 2 / freedom if freedom else float(ours.size + theirs.size - 2)
    return Welch(float(theirs.mean() - ours.mean()), math.sqrt(sum(parts)), degrees)


def probability_better(baseline: ArrayLike, variant: ArrayLike, *, higher_is_better: bool) -> float:
    """The share of all n k pairs of runs in which the variant's is better, ties counted half.

    Raises:
        InputError: For no results.
    """
    ours, theirs = results_of("baseline", baseline), results_of("variant", variant)
    if not ours.size or not theirs.size:
        raise InputError("baseline and variant must have results, got none.")
    gain = theirs[:, None] - ours if higher_is_better else ours - theirs[:, None]
    return float(np.mean((gain > 0) + 0.5 * (gain == 0)))


def _several(name: str, values: ArrayLike) -> Array:
    results = results_of(name, values)
    if results.size < 2 or np.isnan(results).any():
        raise InputError(f"results of {name} must be 2 finite numbers or more, got {results.tolist()}.")
    return results
