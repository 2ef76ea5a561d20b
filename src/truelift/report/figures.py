"""Pictures as inline SVG: they take the page's text colour, so that they suit light and dark alike."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truelift.records import Study
from truelift.report.summary import Summary

# Okabe and Ito's palette, told apart by colour-blind readers; its black and yellow are left out, as one of them
# vanishes on a dark or a light page.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")

# Drawn in this colour, then given the page's own.
_TEXT = "#010203"
# Enough for a picture of this size; keeps the page small.
_MOST_POINTS = 300
# The share of a curve that its rolling average runs over.
_ROLLING = 0.02

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "truelift",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT),
    "grid.color": _TEXT,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


def differences_figure(summary: Summary) -> str:
    """Each seed's difference to the baseline, their mean and interval, and the band of effects too small to matter."""
    rows = summary.compared
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 1.0 + 0.5 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        smallest = float(summary.study.plan["smallest_effect"])
        if smallest > 0:
            axes.axvspan(-smallest, smallest, color=_TEXT, alpha=0.07, lw=0)
        axes.axvline(0, color=_TEXT, lw=1)
        for y, row in enumerate(rows):
            c = row.comparison
            assert c is not None
            colour = PALETTE[(y + 1) % len(PALETTE)]
            spread = np.linspace(-0.2, 0.2, len(c.differences)) if len(c.differences) > 1 else np.zeros(1)
            axes.scatter(
                c.differences, y + spread[: len(c.differences)], s=20, color=colour, lw=0.8, edgecolor=_TEXT, zorder=3
            )
            if c.interval is not None:
                axes.plot(c.interval, (y, y), color=colour, lw=3, solid_capstyle="butt")
            if c.differences:
                axes.plot(c.difference, y, "D", color=colour, ms=8, zorder=2)
        axes.set_yticks(range(len(rows)), [row.variant for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        unit = f", {summary.metric.unit}" if summary.metric.unit else ""
        axes.set_xlabel(f"difference in {summary.metric.name.replace('_', ' ')} to {summary.rows[0].variant}{unit}")
        axes.grid(axis="x")
        label = "Paired differences to the baseline, with mean and 95 % interval"
        return _svg(figure, "differences", label)


@dataclass(frozen=True)
class Curve:
    """A metric over the steps, for the seeds of one variant that have it. S points, k seeds."""

    steps: np.ndarray
    """(S,)"""
    values: np.ndarray
    """(k, S)"""


def curves(study: Study, key: str) -> dict[str, Curve]:
    """The lines of metrics with `key`, by variant; variants without any are left out."""
    found = {}
    for variant in study.plan["variants"]:
        series = [
            [(line["step"], line[key]) for line in run.metrics() if key in line]
            for run in study.runs
            if run.variant == variant and run.status == "done"
        ]
        series = [points for points in series if points]
        if series:
            # Seeds of one variant log at the same steps; a program of the user's may not, so keep what all have.
            common = sorted(set.intersection(*({step for step, _ in points} for points in series)))
            values = [[dict(points)[step] for step in common] for points in series]
            if common:
                found[variant] = Curve(np.array(common), np.array(values, dtype=float))
    return found


def curves_figure(study: Study, key: str, label: str, *, rolling: bool, name: str) -> str | None:
    """Mean over seeds, with a band from the lowest to the highest seed; None where no run left a curve."""
    found = curves(study, key)
    if not found:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for colour, (variant, curve) in _coloured(study.plan, found):
            _draw(axes, curve, variant, colour, rolling=rolling)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.grid()
        axes.legend()
        return _svg(figure, name, f"{label} against steps, mean over seeds")


def _coloured(plan: Mapping[str, Any], found: Mapping[str, Curve]) -> list[tuple[str, tuple[str, Curve]]]:
    """A variant has its colour in every figure: the baseline the first."""
    names = [plan["baseline"], *(name for name in plan["variants"] if name != plan["baseline"])]
    return [(PALETTE[i % len(PALETTE)], (name, found[name])) for i, name in enumerate(names) if name in found]


def _draw(axes: Axes, curve: Curve, label: str, colour: str, *, rolling: bool) -> None:
    steps, values = curve.steps, curve.values
    if rolling:
        values = rolling_mean(values, max(1, round(_ROLLING * len(steps))))
    keep = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _MOST_POINTS)).round().astype(int))
    steps, values = steps[keep], values[:, keep]
    axes.plot(steps, values.mean(0), color=colour, lw=1.8, label=label)
    if len(values) > 1:
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.18, lw=0)


def rolling_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last `window` points, over fewer at the start. (k, S) in, (k, S) out."""
    total = np.cumsum(values, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    return total / np.minimum(np.arange(1, values.shape[1] + 1), window)


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an SVG element whose ids are its own and whose text takes the page's colour."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = svg.replace(_TEXT, "currentColor")
    ids: Sequence[str] = re.findall(r' id="([^"]+)"', svg)
    for known in ids:
        svg = svg.replace(f'id="{known}"', f'id="{name}-{known}"').replace(f"#{known})", f"#{name}-{known})")
        svg = svg.replace(f'href="#{known}"', f'href="#{name}-{known}"')
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
