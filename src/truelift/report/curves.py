"""Curves of training: a number of metrics.jsonl against the steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from truelift.metrics import DRAWN, Drawn
from truelift.records import Curve as RunCurve
from truelift.records import Run


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
    names = [drawn.name for drawn in DRAWN]
    of_runs = {
        variant: [run.curves(names, thinned=True) for run in runs if run.variant == variant] for variant in variants
    }
    found = ((drawn, curves(of_runs, drawn.name)) for drawn in DRAWN)
    return tuple(Picture(drawn, of_variants) for drawn, of_variants in found if of_variants)


def curves(of_runs: Mapping[str, Sequence[Mapping[str, RunCurve]]], key: str) -> dict[str, Curve]:
    """The values of `key` against the steps, by variant; variants without any are left out."""
    found = {}
    for variant, runs in of_runs.items():
        series = [run[key] for run in runs if key in run and len(run[key].steps)]
        if series:
            curve = _joined(series)
            if len(curve.steps):
                found[variant] = curve
    return found


def _joined(series: Sequence[RunCurve]) -> Curve:
    """The curves of several runs at the steps that all have; of two values at one step the later counts."""
    first = series[0].steps
    if all(len(one.steps) == len(first) and (one.steps == first).all() for one in series) and _ascends(first):
        return Curve(first, np.stack([one.values for one in series]))
    # Seeds of one variant log at the same steps; a program of the user's may not, so keep what all have.
    points = [dict(zip(one.steps.tolist(), one.values.tolist(), strict=True)) for one in series]
    common = sorted(set.intersection(*map(set, points)))
    return Curve(np.array(common), np.array([[one[step] for step in common] for one in points], dtype=float))


def _ascends(steps: np.ndarray) -> bool:
    return bool((np.diff(steps) > 0).all())


def rolling_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last `window` points, over fewer at the start. (k, S) in, (k, S) out."""
    total = np.cumsum(values, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return total / np.minimum(np.arange(1, values.shape[1] + 1), window)
