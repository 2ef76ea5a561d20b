"""One variant on one metric, and how many digits a column of them shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from truelift.verdicts import Comparison
from truelift.verdicts.numbers import digits, number, places_that_show


@dataclass(frozen=True)
class Row:
    """One variant on one metric."""

    variant: str
    values: tuple[float, ...]
    """One a seed, in the study's order; NaN where the run is not done."""
    comparison: Comparison | None
    """Against the baseline; None for the baseline itself."""
    example_error: float | None
    """Standard error of the difference over the test images, in points; None without comparable predictions."""
    judged: bool = True
    """False: not the baseline, and not compared either, since nobody knows which way is better."""
    step: float = 0.0
    """The metric's smallest step, where the interval is as wide as this rounding alone makes it: results that are
    nearly equal; else 0."""

    @property
    def standing(self) -> str:
        """The verdict, or why there is none."""
        if self.comparison is not None:
            return self.comparison.verdict
        return "baseline" if self.judged else "not judged"

    @property
    def done(self) -> tuple[float, ...]:
        """The values that are there."""
        return tuple(value for value in self.values if not math.isnan(value))

    @property
    def mean(self) -> float:
        """Mean over the done seeds; NaN without one."""
        return float(np.mean(self.done)) if self.done else math.nan

    @property
    def sd(self) -> float:
        """Sample standard deviation over the done seeds; NaN below two."""
        return float(np.std(self.done, ddof=1)) if len(self.done) > 1 else math.nan


def mean_and_sd(row: Row, places: int) -> str:
    """As "91.2 ± 0.8", with so many digits after the point."""
    return f"{number(row.mean, digits=places)} ± {number(row.sd, digits=places)}"


def mean_digits(rows: Sequence[Row]) -> int:
    """Digits after the point for the means of one metric."""
    return digits([row.sd for row in rows], [value for row in rows for value in row.done])


def difference_digits(rows: Sequence[Row]) -> int:
    """Digits after the point for the differences of one metric, which may be in percent."""
    compared = [row.comparison for row in rows if row.comparison is not None]
    half_widths = [(c.interval[1] - c.interval[0]) / 2 for c in compared if c.interval]
    wanted = digits(half_widths, [c.difference for c in compared])
    return places_that_show((end for c in compared for end in c.interval or ()), wanted)
