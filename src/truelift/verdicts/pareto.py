"""Which choices no other one beats, in a saving and a metric at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(saving: ArrayLike, metric: ArrayLike, *, higher_is_better: bool) -> NDArray[np.bool_]:
    """Which points no other one beats: none saves at least as much and is at least as good, and better in one of both.

    Args:
        saving: (n,), more is better.
        metric: (n,).
        higher_is_better: Whether a larger metric is.

    Returns:
        Booleans (n,); equal points are on the front together.
    """
    saved = np.asarray(saving, dtype=np.float64)
    good = np.asarray(metric, dtype=np.float64) * (1 if higher_is_better else -1)
    as_much, as_good = saved[:, None] >= saved, good[:, None] >= good
    more = (saved[:, None] > saved) | (good[:, None] > good)
    beaten = as_much & as_good & more
    return np.logical_not(beaten.any(axis=0), dtype=np.bool_)
