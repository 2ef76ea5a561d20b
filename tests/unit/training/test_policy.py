import math

import pytest
import torch
from torch import nn

from truelift.training.policies import Progress
from truelift.training.policies.batch_norm import BatchNormMomentum
from truelift.training.policies.learning_rate import ScheduledLearningRate
from truelift.training.schedules import ScheduleOptions
from truelift.training.schedules import build as make_schedule


def factors(options: ScheduleOptions, steps: int = 100, per_epoch: int = 10) -> list[float]:
    schedule = make_schedule(options, per_epoch, steps)
    return [schedule(Progress(step, per_epoch, steps)) for step in range(steps)]


def test_cosine_after_warm_up() -> None:
    got = factors(ScheduleOptions(name="cosine", warmup_steps=20, warmup_factor=0.1))
    assert got[0] == pytest.approx(0.1)
    assert got[10] == pytest.approx(0.55)
    assert got[20] == pytest.approx(1.0)
    assert got[60] == pytest.approx(0.5)
    assert got[99] == pytest.approx((1 + math.cos(math.pi * 79 / 80)) / 2)


@pytest.mark.parametrize("length", [{"warmup_steps": 20}, {"warmup_epochs": 2.0}])
def test_constant_warm_up_holds_and_then_jumps(length: dict[str, float]) -> None:
    options = ScheduleOptions(name="step", milestones_steps=(50,), warmup="constant", warmup_factor=0.1, **length)  # type: ignore[arg-type]
    assert factors(options) == [0.1] * 20 + [1.0] * 30 + [0.1] * 50


def test_gcrs_warm_up_for_110_layers() -> None:
    options = ScheduleOptions(
        name="step", milestones_epochs=(80.0, 160.0), warmup="constant", warmup_steps=400, warmup_factor=0.01
    )
    got = [0.1 * factor for factor in factors(options, steps=200 * 391, per_epoch=391)]
    assert got[0] == got[399] == pytest.approx(0.001)
    assert got[400] == got[80 * 391 - 1] == 0.1
    assert got[80 * 391] == pytest.approx(0.01)  # milestones count from the training's start
    assert got[-1] == pytest.approx(0.001)


@pytest.mark.parametrize(
    "milestones",
    [{"milestones_steps": (40, 80)}, {"milestones_epochs": (4.0, 8.0)}, {"milestones_percent": (80.0, 40.0)}],
)
def test_step_falls_at_the_same_step_in_every_unit(milestones: dict[str, tuple[float, ...]]) -> None:
    got = factors(ScheduleOptions(name="step", gamma=0.5, **milestones))  # type: ignore[arg-type]
    assert got[39:41] == [1.0, 0.5]
    assert got[79:81] == [0.5, 0.25]


def test_linear_and_constant() -> None:
    assert factors(ScheduleOptions(name="linear"))[25] == pytest.approx(0.75)
    assert set(factors(ScheduleOptions(name="constant", warmup_epochs=0))) == {1.0}


def test_each_group_keeps_its_own_rate() -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [weights[0]], "lr": 1.0}, {"params": [weights[1]], "lr": 3.0}])
    policy = ScheduledLearningRate(optimizer, lambda progress: 0.5)
    for step in range(3):  # the factor is of the initial rate, not of the last
        policy(Progress(step, 10, 10))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.5]


def test_dynamic_batch_norm_gives_the_epochs_plain_mean() -> None:
    norm = nn.BatchNorm1d(3, dtype=torch.float64)
    policy = BatchNormMomentum(norm, "dynamic")
    batches = torch.randn(2, 4, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for epoch in range(2):
        for i, batch in enumerate(batches[epoch]):
            policy(Progress(epoch * 4 + i, 4, 8))
            norm(batch)
    torch.testing.assert_close(norm.running_mean, batches[1].mean((0, 1)))
