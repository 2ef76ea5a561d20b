import math
from collections.abc import Callable
from typing import Any

import pytest

from truelift.errors import InputError
from truelift.techniques.freezeout import factor, freezing_points, freezing_stages, recompilations


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("linear", [0.8, 0.85, 0.9, 0.95, 1]),
        ("squared", [0.64, 0.7225, 0.81, 0.9025, 1]),
        ("cubic", [0.512, 0.614125, 0.729, 0.857375, 1]),
        (math.sqrt, [0.8944271910, 0.9219544457, 0.9486832981, 0.9746794345, 1]),
    ],
)
def test_freezing_points_by_hand(scaling: Any, expected: list[float]) -> None:
    points = freezing_points(5, 0.8, scaling)
    assert points == pytest.approx(expected, rel=1e-9)
    assert points[-1] == 1


@pytest.mark.parametrize("t0", [0, 0.1, 0.3, 0.7, 0.9, 1])
@pytest.mark.parametrize("scaling", ["linear", "squared", "cubic"])
@pytest.mark.parametrize("layers", [2, 3, 7, 50, 190])
def test_points_rise_to_exactly_one(t0: float, scaling: Any, layers: int) -> None:
    """The last layer trains in the last step whatever the rounding."""
    points = freezing_points(layers, t0, scaling)
    assert points == sorted(points)
    assert points[-1] == 1
    assert freezing_stages(points, 3)[-1] == 1
    assert recompilations(points) == (layers if t0 < 1 else 1)
    assert freezing_points(layers, t0, lambda x: x)[-1] == 1


def test_stages_are_the_last_points_of_groups() -> None:
    points = [0.1, 0.2, 0.3, 0.4, 1.0]
    assert freezing_stages(points, 1) == points
    assert freezing_stages(points, 2) == [0.2, 0.2, 0.4, 0.4, 1.0]
    assert freezing_stages(points, 3) == [0.3, 0.3, 0.3, 1.0, 1.0]
    assert freezing_stages(points, 9) == [1.0] * 5
    assert [recompilations(freezing_stages(points, n)) for n in (1, 2, 3, 9)] == [5, 3, 2, 1]


def test_factor_by_hand() -> None:
    assert factor(0, 0.5, scaled=False) == 1
    assert factor(0, 0.5, scaled=True) == 2
    assert factor(0.25, 0.5, scaled=False) == pytest.approx(0.5)
    assert factor(0.125, 0.5, scaled=True) == pytest.approx(1 + math.sqrt(0.5))
    assert factor(0.5, 0.5, scaled=True) == 0
    assert factor(0, 0, scaled=True) == 0


def test_scaled_layers_travel_the_same_distance() -> None:
    steps = 20_000
    for point in (0.25, 0.512, 1.0):
        travelled = sum(factor(t / steps, point, scaled=True) for t in range(int(point * steps))) / steps
        assert travelled == pytest.approx(0.5, abs=1e-3)


def falling(x: float) -> float:
    return 1 - x


def short(x: float) -> float:
    return x / 2


@pytest.mark.parametrize(
    ("layers", "t0", "scaling", "message"),
    [
        (1, 0.5, "cubic", "layers must be at least 2, got 1"),
        (3, -0.1, "cubic", r"t0 must be in \[0, 1\], got -0.1"),
        (3, 1.1, "cubic", r"t0 must be in \[0, 1\], got 1.1"),
        (3, float("nan"), "cubic", "t0"),
        (3, 0.5, "cubik", "Did you mean .*cubic"),
        (3, 0.5, falling, "scaling must rise"),
        (3, 0.5, short, "scaling must rise"),
        (3, 0.5, lambda x: x * 2 - 1.5 if x < 1 else 1, "scaling must rise"),
    ],
)
def test_bad_schedules(layers: int, t0: float, scaling: str | Callable[[float], float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        freezing_points(layers, t0, scaling)  # type: ignore[arg-type]


def test_freeze_every_at_least_one() -> None:
    with pytest.raises(InputError, match="freeze_every must be at least 1, got 0"):
        freezing_stages([0.5, 1.0], 0)
