"""The line of metrics: what a rule says in some steps alone is the mean over these."""

from typing import Any

import pytest
import torch
from torch import Tensor

from truelift.training.meters import Meters


def count(meters: Meters, loss: float, overflowed: bool | None = None, **logged: float) -> None:
    said = {name: torch.tensor(value) for name, value in logged.items()}
    lost = None if overflowed is None else torch.tensor(overflowed)
    meters.count({"main": torch.tensor(loss)}, torch.tensor(0.5), said, 0.1, lost)


def line(meters: Meters) -> dict[str, Any]:
    meters.stop()
    found = meters.line(batch_size=1, steps_per_epoch=10, logged={})
    meters.start()
    return found


def test_a_number_that_is_there_in_some_steps_alone() -> None:
    meters = Meters("cpu")
    said: list[dict[str, Any]] = [{"x": 4.0, "y": 1.0}, {"y": 2.0}, {"x": 2.0, "y": 3.0}, {"y": 4.0}]
    for loss, logged in enumerate(said):
        count(meters, float(loss), **logged)
    found = line(meters)
    assert (found["train_loss"], found["x"], found["y"]) == (1.5, 3, 2.5)
    count(meters, 7.0, y=5.0)
    found = line(meters)
    assert (found["train_loss"], found["y"], "x" in found) == (7, 5, False)


def test_steps_that_overflowed_count_for_no_number_of_the_rule() -> None:
    meters = Meters("cpu")
    count(meters, 1.0, overflowed=False, x=4.0)
    count(meters, 1.0, overflowed=True, x=float("inf"))
    count(meters, 1.0, overflowed=False)
    assert line(meters)["x"] == 4


def test_a_state_in_the_middle_of_a_line_of_before_such_steps_were_counted() -> None:
    meters = Meters("cpu")
    count(meters, 1.0, x=4.0)
    count(meters, 1.0, x=2.0)
    meters.stop()
    state = {name: value for name, value in meters.state_dict().items() if name != "line_logged"}
    assert isinstance(state["line_sums"]["x"], Tensor)
    resumed = Meters("cpu")
    resumed.load_state_dict(state)
    count(resumed, 1.0, x=6.0)
    assert line(resumed)["x"] == pytest.approx(4)
