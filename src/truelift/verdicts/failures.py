"""Failed runs, counted as the worst result: if a technique makes runs fail, its remaining pairs flatter it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truelift.errors import InputError
from truelift.verdicts.checks import Array

Flags = NDArray[np.bool_]


def flags_of(name: str, failed: ArrayLike | None, results: Array) -> Flags:
    """Which runs failed, (k,) booleans; a run with a result has not failed.

    Raises:
        InputError: Not one flag a result.
    """
    if failed is None:
        return np.zeros(results.shape, dtype=bool)
    flags = np.asarray(failed, dtype=bool)
    if flags.shape != results.shape:
        raise InputError(f'failed of "{name}" must be one flag a result, {results.shape}, got shape {flags.shape}.')
    return flags & np.isnan(results)


def worst_result(arms: Iterable[Array], *, higher_is_better: bool) -> float:
    """The worst result that any run reached; NaN where none has one."""
    values = np.concatenate([arm[~np.isnan(arm)] for arm in arms])
    if not values.size:
        return float("nan")
    return float(values.min() if higher_is_better else values.max())


def counted(results: Array, failed: Flags, worst: float) -> Array:
    """The results with each failed run at the worst."""
    return np.where(failed, worst, results)
