"""Running statistics after alternating tasks, against networks that saw one task's batches alone."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import TaskStatistics


def make_trunk(momentum: float | None) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=momentum),
        nn.Tanh(),
        nn.BatchNorm2d(4, momentum=0.3, affine=False),
        nn.Flatten(),
        nn.BatchNorm1d(4, track_running_stats=False),
    )


def batch(task: int, number: int) -> Tensor:
    drawn = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(10 * task + number))
    return drawn * (1 + task) + 2 * task


def alternate(trunk: nn.Module, statistics: TaskStatistics, tasks: int = 2) -> None:
    trunk.train()
    for number in range(4):
        for task in range(tasks):
            with statistics.task(task):
                trunk(batch(task, number))


def saw(trunk: nn.Module, tasks: list[int]) -> nn.Module:
    """A copy of the trunk after batches of these tasks."""
    own = copy.deepcopy(trunk).train()
    for number in range(4):
        for task in tasks:
            own(batch(task, number))
    return own


def same(actual: nn.Module, expected: nn.Module) -> None:
    wanted = dict(expected.named_buffers())
    assert wanted
    for name, buffer in actual.named_buffers():
        torch.testing.assert_close(buffer, wanted[name], rtol=0, atol=0)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_main(momentum: float | None) -> None:
    trunk = make_trunk(momentum)
    expected = saw(trunk, [0])
    alternate(trunk, TaskStatistics(trunk))
    same(trunk, expected)
    assert trunk[1].momentum == momentum
    assert trunk[3].momentum == 0.3


@pytest.mark.parametrize("momentum", [0.1, None])
def test_joint(momentum: float | None) -> None:
    trunk = make_trunk(momentum)
    expected = saw(trunk, [0, 1])
    alternate(trunk, TaskStatistics(trunk, "joint"))
    same(trunk, expected)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_separate(momentum: float | None) -> None:
    trunk = make_trunk(momentum)
    expected = [saw(trunk, [task]) for task in range(3)]
    statistics = TaskStatistics(trunk, "separate", tasks=3)
    alternate(trunk, statistics, 3)
    trunk.eval()
    for task, own in enumerate(expected):
        with statistics.task(task):
            same(trunk, own)
            assert torch.equal(trunk(batch(task, 9)), own.eval()(batch(task, 9)))
    same(trunk, expected[0])


@pytest.mark.parametrize("rule", ["main", "joint", "separate"])
def test_training_normalises_by_the_batch(rule: Any) -> None:
    trunk = make_trunk(0.1).train()
    expected = copy.deepcopy(trunk)(batch(1, 0))
    with TaskStatistics(trunk, rule).task(1):
        assert torch.equal(trunk(batch(1, 0)), expected)


@pytest.mark.parametrize("rule", ["main", "joint"])
def test_evaluation_within_a_task(rule: Any) -> None:
    trunk = make_trunk(0.1)
    statistics = TaskStatistics(trunk, rule)
    alternate(trunk, statistics)
    trunk.eval()
    expected = trunk(batch(1, 9))
    before = copy.deepcopy(trunk)
    with statistics.task(1):
        assert torch.equal(trunk(batch(1, 9)), expected)
    same(trunk, before)


@pytest.mark.parametrize("rule", ["main", "separate"])
def test_an_error_within_leaves_all_as_it_was(rule: Any) -> None:
    trunk = make_trunk(0.1).train()
    before = copy.deepcopy(trunk)

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), TaskStatistics(trunk, rule).task(1):
        nn.Sequential(trunk, Broken())(batch(1, 0))
    same(trunk, before)
    assert trunk[1].momentum == 0.1


@pytest.mark.parametrize("rule", ["main", "separate"])
def test_backward_after_the_task(rule: Any) -> None:
    trunk = make_trunk(0.1).train()
    own = copy.deepcopy(trunk)
    statistics = TaskStatistics(trunk, rule)
    with statistics.task(1):
        auxiliary = trunk(batch(1, 0)).pow(3).sum()
    (trunk(batch(0, 0)).pow(3).sum() + auxiliary).backward()
    (own(batch(0, 0)).pow(3).sum() + own(batch(1, 0)).pow(3).sum()).backward()
    for p, q in zip(trunk.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize("rule", ["main", "joint", "separate"])
def test_state(rule: Any) -> None:
    trunk = make_trunk(None)
    statistics = TaskStatistics(trunk, rule)
    alternate(trunk, statistics)
    saved = copy.deepcopy((trunk.state_dict(), statistics.state_dict()))
    assert all("norms" not in name for name in saved[1])
    other = make_trunk(None)
    statistics_of_other = TaskStatistics(other, rule)
    other.load_state_dict(saved[0])
    statistics_of_other.load_state_dict(saved[1])
    for t, s in ((trunk, statistics), (other, statistics_of_other)):
        alternate(t, s)
    same(other, trunk)
    for task in range(2):
        with statistics.task(task), statistics_of_other.task(task):
            assert torch.equal(trunk.eval()(batch(task, 9)), other.eval()(batch(task, 9)))


def test_adds_no_parameter() -> None:
    statistics = TaskStatistics(make_trunk(0.1), "separate")
    assert not list(statistics.parameters())
    assert not list(statistics.children())
    assert len(list(statistics.buffers())) == 6


def test_bad_input() -> None:
    trunk = make_trunk(0.1)
    with pytest.raises(InputError) as caught:
        TaskStatistics(trunk, "separat")  # type: ignore[arg-type]
    assert (
        str(caught.value) == 'unknown rule for batch-norm statistics "separat". Did you mean "separate"? '
        "Known: main, joint, separate."
    )
    with pytest.raises(InputError, match=r"^tasks must be at least 1, got 0\.$"):
        TaskStatistics(trunk, tasks=0)
    with pytest.raises(InputError, match=r"^task must be in 0\.\.1, got 2\.$"), TaskStatistics(trunk).task(2):
        pass
    with pytest.raises(InputError, match=r"^task must be in 0\.\.1, got '1'\.$"), TaskStatistics(trunk).task("1"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("rule", ["main", "joint", "separate"])
def test_a_task_within_another_is_refused_and_leaves_the_statistics_where_they_belong(rule: Any) -> None:
    """With separate ones the inner task would have moved the main task's."""
    trunk: Any = make_trunk(0.1)
    statistics = TaskStatistics(trunk, rule)
    before = trunk[1].running_mean.clone()
    refused = pytest.raises(InputError, match="task must be called outside of it")
    with refused, statistics.task(1), statistics.task(1):
        trunk(batch(1, 0))
    assert torch.equal(trunk[1].running_mean, before)
    with statistics.task(0):
        trunk(batch(0, 0))
    assert not torch.equal(trunk[1].running_mean, before)
