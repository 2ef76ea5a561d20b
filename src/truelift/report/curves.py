"""Curves of training: a number of metrics.jsonl against the steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from truelift.metrics import DRAWN, Drawn
from truelift.records import Run

Lines = list[dict[str, Any]]  # of one run's metrics.jsonl


@dataclass(frozen=True)
class Curve:
    """A metric over the steps, for the seeds of one variant that have it. S points, k seeds."""

    steps: np.ndarray
    """(S,)"""
    values: np.ndarray
    """(k, S)"""


@dataclass(frozen=True)
class Picture:
    """The curves of one number."""

    drawn: Drawn
    curves: Mapping[str, Curve]
    """By variant; never empty."""


def pictures(runs: Sequence[Run], variants: Sequence[str]) -> tuple[Picture, ...]:
    """The curves of every number of the catalogue that some done run logged.

    Args:
        runs: The done ones; each file of metrics is read once.
        variants: Their names, in the order of the curves.
    """
    lines = {variant: [run.metrics() for run in runs if run.variant == variant] for variant in variants}
    found = ((drawn, curves(lines, drawn.name)) for drawn in DRAWN)
    return tuple(Picture(drawn, of_variants) for drawn, of_variants in found if of_variants)


def curves(lines: Mapping[str, Sequence[Lines]], key: str) -> dict[str, Curve]:
    """The values of `key` against the steps, by variant; variants without any are left out."""
    found = {}
    for variant, runs in lines.items():
        series = [points for run in runs if (points := _points(run, key))]
        if series:
            # Seeds of one variant log at the same steps; a program of the user's may not, so keep what all have.
            common = sorted(set.intersection(*(set(points) for points in series)))
            values = [[points[step] for step in common] for points in series]
            if common:
                found[variant] = Curve(np.array(common), np.array(values, dtype=float))
    return found


def _points(lines: Lines, key: str) -> dict[float, float]:
    """Step to value; a program of the user's may leave lines without a step, or with null."""
    return {
        line["step"]: line[key]
        for line in lines
        if isinstance(line.get("step"), int | float) and isinstance(line.get(key), int | float)
    }


def rolling_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last `window` points, over fewer at the start. (k, S) in, (k, S) out."""
    total = np.cumsum(values, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return total / np.minimum(np.arange(1, values.shape[1] + 1), window)
