"""Failed runs, counted as the worst result: if a technique makes runs fail, its remaining pairs flatter it."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truelift.errors import InputError
from truelift.verdicts.checks import Array
from truelift.verdicts.comparison import Comparison, Ground, Verdict, WithFailures

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


def failed_of_pairs(ours: tuple[Array, Flags], theirs: tuple[Array, Flags], seeds: int) -> int:
    """How many runs of the baseline and of a variant failed where the other one has ended: those make a pair.

    Args:
        ours: The baseline's results and flags, (k,) each.
        theirs: The variant's.
        seeds: By how many, the first, the variant is judged.
    """
    ended = [(~np.isnan(results) | failed)[:seeds] for results, failed in (ours, theirs)]
    return int((ours[1][:seeds] & ended[1]).sum() + (theirs[1][:seeds] & ended[0]).sum())


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


def second_line(
    arms: tuple[Array, Mapping[str, Array]],
    failed: tuple[Flags, Mapping[str, Flags]],
    runs: Mapping[str, int],
    compared: Callable[[Array, Mapping[str, Array]], Mapping[str, Comparison]],
    *,
    higher_is_better: bool,
) -> dict[str, WithFailures]:
    """What `compared` finds with each failed run at the worst result of all, by variant, where `runs` of it failed.

    `arms` and `failed` are of the baseline and of each variant; `runs` counts those of the baseline too, where they
    take part in the comparison.
    """
    if not any(runs.values()):
        return {}
    base, others = arms
    values = np.concatenate([base, *others.values()])
    values = values[~np.isnan(values)]
    worst = math.nan if not values.size else float(values.min() if higher_is_better else values.max())
    filled = {name: np.where(failed[1][name], worst, results) for name, results in others.items()}
    return {
        name: WithFailures(runs=runs[name], difference=c.difference, p_adjusted=c.p_adjusted, verdict=c.verdict)
        for name, c in compared(np.where(failed[0], worst, base), filled).items()
        if runs[name]
    }
