"""Does a technique that saves time beat a baseline that simply trains for a shorter time? Compared at equal time."""

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import require
from truelift.verdicts.checks import Array


def at_equal_time(saving: ArrayLike, value: ArrayLike, line_savings: ArrayLike, line_values: ArrayLike) -> Array:
    """Each seed's result less what the baseline reaches in the same time.

    The baseline is trained in n lengths, and between the nearest two of them its results lie in a line.

    Args:
        saving: (k,) time saved by the variant under each seed, in the unit of `line_savings`; NaN for a missing run.
        value: (k,) its results, NaN likewise.
        line_savings: (n, k) time saved by each length of the baseline, NaN likewise.
        line_values: (n, k) their results, NaN likewise.

    Returns:
        (k,) differences; NaN where the line does not reach so far, or a run is missing.

    Raises:
        InputError: The shapes do not fit.
    """
    saved, values = np.asarray(saving, dtype=np.float64), np.asarray(value, dtype=np.float64)
    ends, reached = np.asarray(line_savings, dtype=np.float64), np.asarray(line_values, dtype=np.float64)
    require("value", values.shape, saved.ndim == 1 and values.shape == saved.shape, "of the shape of saving, (k,)")
    fits = ends.ndim == 2 and ends.shape[1] == saved.size and ends.shape == reached.shape
    require("line_savings and line_values", (ends.shape, reached.shape), fits, "of one shape (n, k)")
    found = np.full(saved.size, np.nan)
    for seed in range(saved.size):
        points = np.stack((ends[:, seed], reached[:, seed]), axis=1)
        points = points[~np.isnan(points).any(axis=1)]
        xs, ys = points[points[:, 0].argsort()].T
        if len(xs) > 1 and xs[0] <= saved[seed] <= xs[-1]:
            found[seed] = values[seed] - np.interp(saved[seed], xs, ys)
    return found
