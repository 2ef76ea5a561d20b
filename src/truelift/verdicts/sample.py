"""The complete pairs of one variant, in the units in which they are tested."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError
from truelift.metrics import LARGEST
from truelift.verdicts.checks import Array, results_of
from truelift.verdicts.paired import complete_pairs, exact_differences, spread


@dataclass(frozen=True)
class Sample:
    """Complete pairs. A relative comparison is tested in log ratios and shown in percent of the baseline."""

    baseline: Array
    """In units of the metric, as the variant."""
    variant: Array
    differences: Array
    """Variant - baseline, or log(variant / baseline): the working units."""
    relative: bool
    resolution: float
    """In working units."""
    spread: float | None
    """None below 2 pairs."""
    p_value: float | None = None
    """By the `Evidence`."""

    @property
    def seeds(self) -> int:
        """Pairs k."""
        return int(self.differences.size)

    @property
    def difference(self) -> float:
        """The mean, in working units; NaN without a pair."""
        return float(self.differences.mean()) if self.seeds else math.nan

    def shown(self, value: float) -> float:
        """A value in working units for a reader: percent of the baseline where relative."""
        return in_percent(value) if self.relative else value

    def turned(self) -> "Sample":
        """With the sign of its differences changed."""
        return replace(self, differences=np.negative(self.differences))


def sample_of(name: str, baseline: ArrayLike, variant: ArrayLike, *, relative: bool, resolution: float) -> Sample:
    """The complete pairs of a variant.

    Args:
        name: The variant's, for messages.
        baseline: (k,) results, NaN for a missing run.
        variant: (k,) results of the same seeds.
        relative: Compare by log ratios: all results must be above 0.
        resolution: The metric's smallest step, in its units.

    Raises:
        InputError: Results that do not pair or, where relative, are not above 0.
    """
    base, other = complete_pairs(name, results_of("baseline", baseline), results_of(name, variant))
    step = resolution
    if relative and base.size:
        lowest = float(min(base.min(), other.min()))
        if not lowest > 0:
            raise InputError(f"a relative comparison needs results above 0, got {lowest:g}.")
        step = resolution / math.exp(float(np.log(base).mean()))
        d = exact_differences(np.log(base), np.log(other), logs=True)
    else:
        d = exact_differences(base, other)
    return Sample(base, other, d, relative, step, spread(d, resolution=step) if d.size >= 2 else None)


def in_percent(log_ratio: float) -> float:
    """100 (ratio - 1); an interval's end may lie beyond all numbers, and is then 100 `LARGEST`."""
    return 100 * math.expm1(min(log_ratio, math.log(LARGEST)))


def margins(smallest_effect: float, *, relative: bool) -> tuple[float, float]:
    """The smallest effect in working units, downwards and upwards: log(1 - D), log(1 + D) of a ratio."""
    if not relative:
        return -smallest_effect, smallest_effect
    low = math.log1p(-smallest_effect / 100) if smallest_effect < 100 else -math.inf
    return low, math.log1p(smallest_effect / 100)
