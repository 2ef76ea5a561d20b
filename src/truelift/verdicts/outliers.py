"""Runs that lie far from the other runs of their variant: a mean hides a rare collapse.

Reference: Rousseeuw & Croux 1993, "Alternatives to the Median Absolute Deviation" (median and its scale).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from truelift.verdicts.checks import Array, at_least_zero, results_of
from truelift.verdicts.median import median

FEWEST_RUNS = 3
FAR = 6.0
"""Robust standard deviations from the median. Of 10,000 studies of normal noise some 2 % name a run at 5 seeds
(benchmarks/statistics.py)."""
_MAD_OF_NORMAL = 0.6745  # the median absolute deviation of a normal distribution of standard deviation 1


@dataclass(frozen=True)
class Outlier:
    """One run."""

    variant: str
    index: int
    """Of the seed, in the order of the results."""
    value: float
    median: float
    """Of its variant's runs."""


def outlying_runs(results: Mapping[str, ArrayLike], *, resolution: float = 0.0) -> tuple[Outlier, ...]:
    """Runs more than `FAR` robust standard deviations from the median of their variant.

        |x - median_v| > FAR max(scale_v, scale_all),   scale = median |x - median_v| / 0.6745

    scale_all is taken over the runs of all variants, so that a few runs that happen to agree make no outlier of the
    next; scale_v is the variant's own, so that a noisy variant's runs are not all named. Neither is taken below
    the metric's own step.

    Args:
        results: Variant -> one result a seed, NaN for a missing run; variants below `FEWEST_RUNS` runs are left out.
        resolution: The metric's smallest step, >= 0.

    Returns:
        In the order of variants and seeds.

    Raises:
        InputError: Results that are infinite or no row of numbers, or a negative resolution.
    """
    at_least_zero("resolution", resolution)
    arms = {name: results_of(name, values) for name, values in results.items()}
    arms = {name: values for name, values in arms.items() if np.count_nonzero(~np.isnan(values)) >= FEWEST_RUNS}
    if not arms:
        return ()
    medians = {name: median(values[~np.isnan(values)]) for name, values in arms.items()}
    distances = {name: np.abs(values - medians[name]) for name, values in arms.items()}
    # One distance of each odd number of runs is 0 by construction, and says nothing of the spread.
    of_all = _scale(np.concatenate([_but_the_least(values) for values in distances.values()]))
    found = []
    for name, values in arms.items():
        bound = FAR * max(of_all, _scale(_but_the_least(distances[name])), resolution)
        found += [
            Outlier(name, int(index), float(values[index]), medians[name])
            for index in np.flatnonzero(distances[name] > bound)
        ]
    return tuple(found)


def _but_the_least(distances: Array) -> Array:
    known = np.sort(distances[~np.isnan(distances)])
    return known[1:] if known.size % 2 else known


def _scale(distances: Array) -> float:
    return median(distances) / _MAD_OF_NORMAL
