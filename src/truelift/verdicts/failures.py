"""Failed runs, counted as the worst result: if a technique makes runs fail, its remaining pairs flatter it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truelift.errors import InputError
from truelift.verdicts.checks import Array
from truelift.verdicts.comparison import Ground, Verdict

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


class Lost(NamedTuple):
    """What is said of a variant without a pair."""

    verdict: Verdict = "undecided"
    ground: Ground = "no pairs"
    runs: int = 0
    """Where all runs of the variant, or else of the baseline, failed: how many."""


def all_failed(results: Array, failed: Flags, seeds: int | None = None) -> int:
    """How many runs failed where all did; 0 where one has a result, or has not ended.

    Args:
        results: (k,), NaN where there is none.
        failed: (k,), which runs failed.
        seeds: By how many, the first, it is judged; None: by all.
    """
    runs = int(failed.sum())
    return runs if runs == (results.size if seeds is None else seeds) else 0


def lost(of_variant: int, of_baseline: int) -> Lost:
    """Of a variant without a pair, from `all_failed` of it and of the baseline."""
    if of_variant:
        return Lost("failed", "all failed", of_variant)
    return Lost(ground="baseline failed", runs=of_baseline) if of_baseline else Lost()


def worst_result(arms: Iterable[Array], *, higher_is_better: bool) -> float:
    """The worst result that any run reached; NaN where none has one."""
    values = np.concatenate([arm[~np.isnan(arm)] for arm in arms])
    if not values.size:
        return float("nan")
    return float(values.min() if higher_is_better else values.max())


def counted(results: Array, failed: Flags, worst: float) -> Array:
    """The results with each failed run at the worst."""
    return np.where(failed, worst, results)
