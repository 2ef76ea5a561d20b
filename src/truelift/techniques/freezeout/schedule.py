"""When each layer freezes, and its learning rate until then. L layers, i = 0 … L − 1 from the input; t in [0, 1]."""

import itertools
import math
from collections.abc import Callable
from typing import Literal, get_args

from truelift.errors import InputError, known, real, whole

Scaling = Literal["linear", "squared", "cubic"]
_POWERS = {"linear": 1, "squared": 2, "cubic": 3}


def freezing_points(layers: int, t0: float, scaling: Scaling | Callable[[float], float]) -> list[float]:
    """Where each layer freezes, as a share of the training.

    t_i = s(t_0 + (1 − t_0)·i/(L − 1)), s(x) = x (linear), x² (squared), x³ (cubic) or a function of your own.

    The first layer freezes at s(t_0), so that t_0 = 0.8 cubed is 0.512; the last one never before the end.

    Args:
        layers: L, at least 2.
        t0: t_0, in [0, 1].
        scaling: linear, squared, cubic, or a function from [0, 1] to (0, 1] with s(1) = 1, which must not fall.

    Raises:
        InputError: An argument is out of range.

    Source:
        Brock, Lim, Ritchie, Weston, "FreezeOut", arXiv 1706.04983, and the authors' code, which numbers the layers so
        that the head has i = L − 1 and divides by that number.
    """
    whole("layers", layers, 2, 10**6)
    real("t0", t0, lambda t: 0 <= t <= 1, "in [0, 1]")
    # The last one is 1 whatever the rounding: the head trains to the end.
    unscaled = [*(t0 + (1 - t0) * i / (layers - 1) for i in range(layers - 1)), 1.0]
    if not callable(scaling):
        known("scaling", scaling, get_args(Scaling))
        power = _POWERS[scaling]
        points = [x**power for x in unscaled]
    else:
        given = [scaling(x) for x in unscaled]
        for point in given:
            real("what scaling returns", point, math.isfinite, "a finite number")
        points = [float(point) for point in given]
        rising = all(a <= b for a, b in itertools.pairwise(points))
        if not (rising and points[0] >= 0 and points[-1] == 1):
            raise InputError(f"scaling must rise from 0 or more to 1 at 1, got freezing points {points}.")
    return points


def freezing_stages(points: list[float], freeze_every: int) -> list[float]:
    """Where each layer leaves the training when so many freeze at a time: where the last of its group is due.

    Raises:
        InputError: `freeze_every` is below 1.
    """
    whole("freeze_every", freeze_every, 1)
    last = len(points) - 1
    return [points[min((i // freeze_every + 1) * freeze_every - 1, last)] for i in range(len(points))]


def factor(t: float, point: float, *, scaled: bool) -> float:
    """What the layer's learning rate is multiplied by, for t ≤ point.

    ½·(1 + cos(π·t/t_i)), over t_i where scaled: the same distance travelled. The paper's formula lacks the ½; its code
    has it.

    Args:
        t: Share of the training that is done.
        point: t_i; a layer with t_i = 0 is never trained, and its factor is 0.
        scaled: Whether to divide by t_i.
    """
    if point == 0:
        return 0.0
    annealed = (1 + math.cos(math.pi * t / point)) / 2
    return annealed / point if scaled else annealed
