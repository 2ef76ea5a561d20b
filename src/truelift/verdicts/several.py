"""Several variants at once.

Reference: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError
from truelift.verdicts.checks import Array


def holm(p_values: ArrayLike) -> Array:
    """Holm's (1979) step-down adjustment: the chance of any false positive among m tests stays below the level.

        adjusted_(i) = min(1, max_{j <= i} (m - j + 1) p_(j)),   p_(1) <= ... <= p_(m)

    Args:
        p_values: m p-values in [0, 1], in any order.

    Returns:
        The adjusted p-values in the order given.

    Raises:
        InputError: For a value outside [0, 1].
    """
    p = _p_values(p_values)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(p.size, 0, -1) * p[order]))
    return adjusted


def holm_levels(p_values: ArrayLike, alpha: float) -> Array:
    """The level that Holm's correction asks of each p-value now: p <= level exactly where `holm` is at most alpha.

        alpha / (m - j + 1) for the j-th smallest while all are rejected; alpha / (m - r) for the rest, r the rejected

    An interval of confidence 1 - level excludes 0 exactly where the adjusted p-value decides.

    Args:
        p_values: m p-values in [0, 1], in any order.
        alpha: Of the family.

    Raises:
        InputError: For a value outside [0, 1].
    """
    p = _p_values(p_values)
    order = np.argsort(p)
    steps = alpha / np.arange(p.size, 0, -1)
    kept = np.flatnonzero(p[order] > steps)
    if kept.size:
        steps[kept[0] :] = steps[kept[0]]
    levels = np.empty_like(p)
    levels[order] = steps
    return levels


def holm_by_name(p_values: Mapping[str, float], alpha: float) -> tuple[dict[str, float], dict[str, float]]:
    """The adjusted p-values of `holm` and the levels of `holm_levels`, by name."""
    values = list(p_values.values())
    adjusted, levels = holm(values).tolist(), holm_levels(values, alpha).tolist()
    return dict(zip(p_values, adjusted, strict=True)), dict(zip(p_values, levels, strict=True))


def _p_values(p_values: ArrayLike) -> Array:
    p = np.asarray(p_values, dtype=np.float64)
    for value in p[~((p >= 0) & (p <= 1))]:
        raise InputError(f"p_values must lie in [0, 1], got {value}.")
    return p
