"""When an auxiliary loss helps: the cosine of two one-dimensional losses' gradients.

Formula:

    L_main(θ) = (θ − 10)², L_aux(θ) = θ², so g_main = 2·(θ − 10), g_aux = 2·θ
    cos(g_main, g_aux) = g_main·g_aux / (|g_main|·|g_aux|), and 0 where a gradient is zero

The gradients agree outside [0, 10] and oppose each other inside: there the auxiliary loss pulls away from the main
loss's minimum.

Source:
    Du et al., "Adapting Auxiliary Losses Using Gradient Similarity", arXiv 1812.02224, the figure of its idea.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truelift.recipes.drawing import PaperFigure
from truelift.report.figures import PALETTE, TEXT
from truelift.techniques.gradient_similarity import cosines

_MAIN, _AUXILIARY, _COSINE = PALETTE[0], PALETTE[1], PALETTE[2]
_MINIMA = (10.0, 0.0)
_MARKED = (-20.0, 5.0)
_RANGE = (-66.0, 44.0)
# The arrows, in units of θ, times their gradient.
_ARROW_SCALE = 0.4


def losses(theta: np.ndarray) -> np.ndarray:
    """L_main and L_aux, (2, N), at θ, (N,)."""
    return np.stack([np.square(theta - minimum) for minimum in _MINIMA])


def gradients(theta: np.ndarray) -> np.ndarray:
    """g_main and g_aux, (2, N), at θ, (N,)."""
    return np.stack([2 * (theta - minimum) for minimum in _MINIMA])


def cosine(theta: np.ndarray) -> np.ndarray:
    """cos(g_main, g_aux), (N,), at θ, (N,)."""
    both = torch.from_numpy(gradients(theta)).T
    found: np.ndarray = cosines(both[:, :, None] * both[:, None, :])[:, 0].numpy()
    return found


def minus(number: str) -> str:
    """The number with a minus sign in place of a hyphen, as on the axes."""
    return number.replace("-", "−")


def _draw(_: Mapping[str, Any]) -> tuple[Figure, str]:
    figure = Figure(figsize=(6.0, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_losses(above)
    _draw_cosine(below)
    figure.legend(loc="outside upper center", ncols=2)
    at = np.array(_MARKED)
    places = ", ".join(f"{minus(f'{c:+.0f}')} at θ = {minus(f'{t:g}')}" for t, c in zip(at, cosine(at), strict=True))
    return figure, f"Cosine of the gradients of L_main = (θ − 10)² and L_aux = θ²: {places}, 0 at the critical points."


def _draw_losses(axes: Axes) -> None:
    theta = np.linspace(*_RANGE, 400)
    marked = np.array(_MARKED)
    rows = zip(("L_main = (θ − 10)²", "L_aux = θ²"), (_MAIN, _AUXILIARY), losses(theta), strict=True)
    for label, colour, values in rows:
        axes.plot(theta, values, color=colour, lw=1.8, label=label)
    arrows = zip(("g_main", "g_aux"), (_MAIN, _AUXILIARY), losses(marked), gradients(marked), strict=True)
    for label, colour, heights, slopes in arrows:
        for at, height, slope in zip(marked, heights, slopes, strict=True):
            end = at + _ARROW_SCALE * slope
            style = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (end, height), (at, height), arrowprops=style)
            axes.plot(at, height, "o", color=colour, ms=5)
            # At the tip where there is room, below the curves where there is none.
            x, down = (end, 4) if height > 100 else (at, 20)
            right, side = (4, "left") if slope > 0 else (-4, "right")
            text = f"{label} = {minus(f'{slope:+.0f}')}"
            axes.annotate(
                text, (x, height), (right, -down), textcoords="offset points", ha=side, color=colour, fontsize=9
            )
    axes.set(ylim=(-120, 1300), ylabel="loss")
    axes.grid()


def _draw_cosine(axes: Axes) -> None:
    # Each stretch between critical points by itself: the cosine jumps there.
    ends = (_RANGE[0], *sorted(_MINIMA), _RANGE[1])
    for low, high in itertools.pairwise(ends):
        value = cosine(np.array([(low + high) / 2]))[0]
        axes.plot((low, high), (value, value), color=_COSINE, lw=2.4, solid_capstyle="butt")
    critical = np.array(sorted(_MINIMA))
    axes.plot(critical, cosine(critical), "o", color=_COSINE, ms=5)
    for at in _MARKED:
        axes.axvline(at, color=TEXT, lw=0.8, ls=":")
    axes.set(ylim=(-1.4, 1.4), yticks=(-1, 0, 1), xlim=_RANGE, xlabel="θ", ylabel="cosine")
    axes.grid()


FIGURE = PaperFigure(
    "gradient-similarity-concept", "two parabolas, their gradients, and where along θ the gradients agree", _draw
)
