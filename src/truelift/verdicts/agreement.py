"""Another's figure beside our own results: do they agree?

Reference: Welch 1947, "The Generalization of 'Student's' Problem when Several Different Population Variances are
Involved".
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import require
from truelift.verdicts.checks import at_least_zero, fraction, results_of
from truelift.verdicts.paired import sample_sd
from truelift.verdicts.student import critical

Agreement = Literal["agrees", "differs", "one seed", "no spread", "not compared"]


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """What somebody reports of one variant, in the study's metric."""

    value: float
    """Of one run, or the mean of several."""
    source: str
    """Who reports it, and where."""
    runs: int = 1
    """How many runs it is the mean of."""
    sd: float | None = None
    """Their sample standard deviation, where it is reported."""


@dataclass(frozen=True)
class Agreed:
    """A published figure against our results."""

    difference: float
    """The mean of ours less the published; NaN where there is nothing to compare."""
    interval: tuple[float, float] | None
    """Published figures in it agree with ours; None where that cannot be told."""
    agreement: Agreement


def agreement(ours: ArrayLike, figure: PublishedFigure) -> Agreed:
    """Whether `figure` agrees with our results: whether it lies in their `agreement_interval`.

    Args:
        ours: n results, one a seed; none gives "not compared".
        figure: The published one.

    Raises:
        InputError: As `agreement_interval`.
    """
    values = results_of("ours", ours)
    if not values.size:
        return NOT_COMPARED
    difference = float(values.mean()) - figure.value
    interval = agreement_interval(values, runs=figure.runs, sd=figure.sd)
    if interval is None:
        return Agreed(difference, None, "no spread" if values.size > 1 else "one seed")
    low, high = interval
    return Agreed(difference, interval, "agrees" if low <= figure.value <= high else "differs")


NOT_COMPARED = Agreed(math.nan, None, "not compared")


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
    values = results_of("ours", ours)
    require("runs", runs, runs >= 1, "at least 1")
    fraction("confidence", confidence)
    if sd is not None:
        at_least_zero("sd", sd)
        require("runs", runs, runs >= 2, "at least 2 where they have an sd")
    require("ours", values.tolist(), not np.isnan(values).any(), "finite")
    n = values.size
    if n < 2 or not sample_sd(values):
        return None
    variance = sample_sd(values) ** 2
    mine, theirs = variance / n, (variance if sd is None else sd**2) / runs
    degrees = n - 1.0 if sd is None else (mine + theirs) ** 2 / (mine**2 / (n - 1) + theirs**2 / (runs - 1))
    half = critical(degrees, 1 - confidence) * math.sqrt(mine + theirs)
    return float(values.mean()) - half, float(values.mean()) + half
