"""Steepest descent on two-dimensional losses, with the rule and without.

Formula, for 600 steps of 0.01 from one start:

    main loss alone:     θ ← θ − 0.01·g_main
    plain sum:           θ ← θ − 0.01·(g_main + g_aux)
    gradient similarity: θ ← θ − 0.01·(g_main + max(0, cos(g_main, g_aux))·g_aux)

    quadratic:  L_main = (1.5·x² + 5·y²) / 2,         L_aux = (x − 3)² + (y − 1)²
    Rosenbrock: L_main = 4·((1 − x)² + 2·(y − x²)²),  L_aux = (x − 1.5)² + (y − 2)²

Rosenbrock's function has 1 in place of 4 and 100 in place of 2; these are chosen so that steps of 0.01 are stable and
600 of them reach the minimum. The plain sum comes to rest where g_main = −g_aux; the rule where g_main = 0. The latter
needs suitable steps, as the paper says: with others 600 steps did not suffice.

Source:
    Du et al., "Adapting Auxiliary Losses Using Gradient Similarity", arXiv 1812.02224, its toy losses; the losses'
    numbers are this project's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from torch import Tensor

from truelift.recipes.drawing import PaperFigure
from truelift.report.figures import PALETTE, TEXT
from truelift.techniques.gradient_similarity import GradientSimilarity, Rule, Weighting, multi_task, single_task

STEPS = 600
STEP_SIZE = 0.01

Loss = Callable[[Tensor, Tensor], Tensor]
"""From x and y, of one shape, to the loss at each."""


@dataclass(frozen=True)
class Problem:
    """Two losses and where the paths begin."""

    name: str
    main: Loss
    auxiliary: Loss
    start: tuple[float, float]
    main_minimum: tuple[float, float]
    auxiliary_minimum: tuple[float, float]
    view: tuple[tuple[float, float], tuple[float, float]]
    """Limits of x and of y in the picture."""


@dataclass(frozen=True)
class Descent:
    """What one rule did."""

    path: np.ndarray
    """(STEPS + 1, 2)"""
    norms: np.ndarray
    """‖g_main‖ at each point of the path, (STEPS + 1,)"""


def quadratic(x: Tensor, y: Tensor) -> Tensor:
    """(1.5·x² + 5·y²) / 2."""
    return (1.5 * x.square() + 5 * y.square()) / 2


def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    """4·((1 − x)² + 2·(y − x²)²)."""
    return 4 * ((1 - x).square() + 2 * (y - x.square()).square())


def bowl(centre: tuple[float, float]) -> Loss:
    """The squared distance to `centre`."""
    return lambda x, y: (x - centre[0]).square() + (y - centre[1]).square()


PROBLEMS = (
    Problem("quadratic", quadratic, bowl((3, 1)), (-3, 2), (0, 0), (3, 1), ((-4, 5), (-1.8, 3))),
    Problem("Rosenbrock", rosenbrock, bowl((1.5, 2)), (-1, 1.6), (1, 1), (1.5, 2), ((-1.8, 2.4), (-0.5, 2.5))),
)
RULES: Mapping[str, Callable[[], Weighting | Rule]] = {
    "main loss alone": lambda: single_task,
    "plain sum": multi_task,
    "gradient similarity": lambda: "weighted",
}
_COLOURS = dict(zip(RULES, (PALETTE[0], PALETTE[1], PALETTE[2]), strict=True))
# The rule's path last and narrow, as it lies over the main loss's own for a part of the way.
_WIDTHS = dict(zip(RULES, (3.2, 2.0, 1.6), strict=True))


def descend(problem: Problem, rule: Weighting | Rule) -> Descent:
    """Take the steps, by this package's own rule."""
    theta = torch.tensor(problem.start, dtype=torch.float64, requires_grad=True)
    similarity = GradientSimilarity(rule)
    path = [theta.detach().clone()]
    for _ in range(STEPS):
        theta.grad = None
        similarity.backward(problem.main(*theta), problem.auxiliary(*theta))
        assert theta.grad is not None, "backward leaves one"
        with torch.no_grad():
            theta -= STEP_SIZE * theta.grad
        path.append(theta.detach().clone())
    points = torch.stack(path).requires_grad_()
    (slopes,) = torch.autograd.grad(problem.main(points[:, 0], points[:, 1]).sum(), points)
    return Descent(points.detach().numpy(), slopes.norm(dim=1).numpy())


def _draw(_: Mapping[str, Any]) -> tuple[Figure, str]:
    figure = Figure(figsize=(9.0, 7.0), layout="constrained")
    finals = []
    for (left, right), problem in zip(figure.subplots(2, 2), PROBLEMS, strict=True):
        descents = {name: descend(problem, rule()) for name, rule in RULES.items()}
        _draw_paths(left, problem, descents)
        _draw_norms(right, descents)
        norms = ", ".join(f"{descent.norms[-1]:.2g} ({name})" for name, descent in descents.items())
        finals.append(f"{problem.name} {norms}")
    handles, labels = figure.axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure, f"Norm of the main loss's gradient after {STEPS} steps: {'; '.join(finals)}."


def _draw_paths(axes: Axes, problem: Problem, descents: Mapping[str, Descent]) -> None:
    x, y = torch.meshgrid(*(torch.linspace(*ends, 201, dtype=torch.float64) for ends in problem.view), indexing="xy")
    values = problem.main(x, y).numpy()
    levels = np.geomspace(values.max() / 3000, values.max(), 12)
    axes.contour(x.numpy(), y.numpy(), values, levels=levels, colors=TEXT, alpha=0.22, linewidths=0.8)
    for name, descent in descents.items():
        axes.plot(*descent.path.T, color=_COLOURS[name], lw=_WIDTHS[name], solid_capstyle="round")
        axes.plot(*descent.path[-1], "o", color=_COLOURS[name], ms=2 + 2 * _WIDTHS[name])
    marks = (("start", problem.start, (0, 8), "center"), ("main minimum", problem.main_minimum, (8, -12), "left"))
    for label, place, offset, side in (*marks, ("auxiliary minimum", problem.auxiliary_minimum, (0, 8), "center")):
        axes.plot(*place, "+", color=TEXT, ms=9, mew=1.4)
        axes.annotate(label, place, offset, textcoords="offset points", ha=side, fontsize=9)
    axes.set(xlim=problem.view[0], ylim=problem.view[1], xlabel="x", ylabel="y", aspect="equal")
    axes.set_title(f"{problem.name}: contours of the main loss", fontsize=10)


def _draw_norms(axes: Axes, descents: Mapping[str, Descent]) -> None:
    for name, descent in descents.items():
        axes.plot(descent.norms, color=_COLOURS[name], lw=_WIDTHS[name], label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(0, STEPS), xlabel="step")
    axes.set_title("norm of the main loss's gradient", fontsize=10)
    axes.grid()


FIGURE = PaperFigure(
    "gradient-similarity-trajectories",
    "descent on two-dimensional losses: the main loss alone, the plain sum, and gradient similarity",
    _draw,
)
