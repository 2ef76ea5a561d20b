"""Schedules by their corners, worked out by hand, and against torch's."""

from dataclasses import replace

import pytest
import torch

from truelift.errors import InputError
from truelift.options import check
from truelift.training.policies import Progress
from truelift.training.schedules import ScheduleOptions, build


def factors(options: ScheduleOptions, steps: int = 100, steps_per_epoch: int = 10) -> list[float]:
    """The factor at each step, and behind the last."""
    schedule = build(options, steps_per_epoch, steps)
    return [schedule(Progress(step, steps_per_epoch, steps)) for step in range(steps + 1)]


TRIANGLE = ScheduleOptions(name="linear", warmup_percent=20, warmup_factor=0.25, final_factor=0.1)


def test_a_triangle() -> None:
    found = factors(TRIANGLE)
    assert [found[t] for t in (0, 10, 20, 60, 100)] == pytest.approx([0.25, 0.625, 1, 0.55, 0.1])
    expected = torch.cat((torch.linspace(0.25, 1, 21), torch.linspace(1, 0.1, 81)[1:])).tolist()
    assert found == pytest.approx(expected)
    assert factors(TRIANGLE, steps=400)[::4] == pytest.approx(found)  # a percentage, whatever the length


def test_one_cycle_against_torchs() -> None:
    ours = factors(ScheduleOptions(name="cosine", warmup_percent=30, warmup_factor=0.04, final_factor=0.01), steps=50)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # Both halves are cosines there, of which the second begins at its step 15 and ends at its step 50.
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 35, eta_min=0.01)
    for t in range(15, 51):
        assert ours[t] == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-6)
        optimizer.step()
        torchs.step()
    assert ours[:15] == pytest.approx([0.04 + 0.96 * t / 15 for t in range(15)])


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_a_final_factor_of_0_is_none(name: str) -> None:
    found = factors(ScheduleOptions(name=name, warmup_steps=7))
    if name == "linear":
        assert found[7:] == [1 - (t - 7) / 93 for t in range(7, 101)]  # to the last bit
    assert found[-1] == 0


@pytest.mark.parametrize("percent", [0, 100])
def test_a_warm_up_of_nothing_or_all(percent: float) -> None:
    found = factors(replace(TRIANGLE, warmup_percent=percent))
    assert found[0] == (1 if percent == 0 else 0.25)
    assert found[50] == pytest.approx(0.55 if percent == 0 else 0.625)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ScheduleOptions(warmup_percent=101), r"schedule.warmup_percent must be in \[0, 100\], got 101"),
        (
            ScheduleOptions(warmup_percent=5, warmup_epochs=1),
            "warmup_epochs must be left out where schedule.warmup_percent",
        ),
        (ScheduleOptions(name="step", final_factor=0.1), "final_factor must be 0 for schedule.name step"),
        (ScheduleOptions(final_factor=1.5), r"final_factor must be in \[0, 1\], got 1.5"),
        (
            ScheduleOptions(warmup="until-error", warmup_factor=0.1, warmup_percent=5),
            "warmup must be linear or constant where its length is given",
        ),
    ],
)
def test_bad_options(options: ScheduleOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(options, "schedule.")
