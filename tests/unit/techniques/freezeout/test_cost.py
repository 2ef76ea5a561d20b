"""Against counts by hand, and the measurements in the reference."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from truelift.errors import InputError
from truelift.models import DenseNet
from truelift.techniques.freezeout import (
    authors_estimate,
    cost,
    counted_costs,
    freezing_points,
    freezing_stages,
    plain_cost,
    predicted_saving,
    saving,
    timed_costs,
)

# Multiply-adds of a forward pass for two images of 8×8 pixels: output pixels · outputs · inputs · kernel.
FIRST = 2 * 64 * 4 * 3 * 9
SECOND = 2 * 64 * 5 * 4 * 9
HEAD = 2 * 7 * 5


def small() -> nn.Sequential:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
    norm = nn.BatchNorm2d(4)
    return nn.Sequential(
        nn.Sequential(first, norm), nn.ReLU(), second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)
    )


def snapshot(network: nn.Module) -> list[Any]:
    tensors = [t.clone() for t in network.state_dict().values()]
    flags = [p.requires_grad for p in network.parameters()], [m.training for m in network.modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
    return [tensors, flags, hooks, [p.grad is None for p in network.parameters()]]


def assert_unchanged(network: nn.Module, before: list[Any]) -> None:
    after = snapshot(network)
    assert after[1:] == before[1:]
    assert all(torch.equal(a, b) for a, b in zip(after[0], before[0], strict=True))


def test_counts_by_hand() -> None:
    network = small().eval()
    network[2].requires_grad_(False)
    before = snapshot(network)
    forward = FIRST + SECOND + HEAD
    expected = [
        forward + (FIRST + SECOND + HEAD) + (SECOND + HEAD),  # weights' gradients, inputs' gradients
        forward + (SECOND + HEAD) + HEAD,
        forward + HEAD,
    ]
    assert counted_costs(network, torch.randn(2, 3, 8, 8)) == [2 * count for count in expected]
    assert_unchanged(network, before)


def test_the_plain_cost_is_the_first() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert plain_cost(small(), images) == counted_costs(small(), images)[0]


class Attending(nn.Module):
    """Whose product of attention is another operator on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = nn.functional.dropout(self.head(images.flatten(1, 2)), 0.5)
        return nn.functional.scaled_dot_product_attention(rows, rows, rows)


class Choosy(nn.Module):
    """It takes no zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not images.is_meta and not images.any():
            raise ValueError
        out: torch.Tensor = self.head(images)
        return out


@pytest.mark.parametrize("kind", [small, lambda: DenseNet(10, 10), Attending, Choosy])
def test_zeros_count_as_much_as_no_data(monkeypatch: pytest.MonkeyPatch, kind: Callable[[], nn.Module]) -> None:
    network, images = kind(), torch.randn(2, 3, 8, 8)
    before, state = snapshot(network), torch.get_rng_state()
    counted = plain_cost(network, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert_unchanged(network, before)
    monkeypatch.setattr(cost, "is_small", lambda *about: False)
    assert counted == plain_cost(network, images) > 0


class Enlarging(nn.Module):
    """Few weights, and many operations: each is used several times, on enlarged images."""

    def __init__(self, computed: list[nn.Module]) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 3, padding=1)
        self.again.register_forward_hook(lambda module, _, out: None if out.is_meta else computed.append(module))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(self.first(x), scale_factor=4)
        for _ in range(8):
            x = self.again(x)
        return x


def test_what_is_not_small_after_all_is_counted_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[nn.Module] = []
    network, images = Enlarging(computed), torch.randn(2, 3, 8, 8)
    monkeypatch.setattr(cost, "MOST", 2**20)  # one of the eight takes 9.4 million operations
    counted = plain_cost(network, images)
    assert len(computed) <= 1
    first, again = 2 * 64 * 16 * 3, 2 * 1024 * 16 * 16 * 9
    assert counted == 2 * (2 * first + 8 * 3 * again)


def test_counts_of_a_shared_parameter() -> None:
    """It needs its gradient until the later layer freezes."""
    network = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False))
    network[1].weight = network[0].weight
    one, head = 4 * 9, 4 * 6
    both = (2 * one + head) + (2 * one + head) + (one + head)
    expected = [both, both, 2 * one + head + head]
    assert counted_costs(network, torch.randn(4, 3)) == [2 * count for count in expected]


def test_saving_by_hand() -> None:
    # A half at 12, a quarter at 8, a quarter at 4: 9 of 12.
    assert saving([0.5, 0.75, 1.0], [12, 8, 4]) == pytest.approx(0.25)
    assert saving([1.0, 1.0, 1.0], [12, 8, 4]) == 0
    assert saving([0.0, 0.0, 1.0], [12, 8, 4]) == pytest.approx(2 / 3)
    assert saving([0.5, 0.5, 1.0], [12, 8, 4]) == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="costs must be one for each of the 2 stages, got 3"):
        saving([0.5, 1.0], [12, 8, 4])


def test_authors_estimate_by_hand() -> None:
    network, images = small(), torch.randn(2, 3, 8, 8)
    before = snapshot(network)
    points = [0.5, 0.75, 1.0]
    expected = 1 - (FIRST * 1.5 + SECOND * 1.75) / (2 * (FIRST + SECOND))
    assert authors_estimate(network, images, points, linear=False) == pytest.approx(expected)
    assert authors_estimate(network, images, points, linear=True) == pytest.approx(1.3 * expected)
    assert_unchanged(network, before)


def test_savings_of_a_densenet_are_those_of_the_reference() -> None:
    with torch.device("meta"):
        network, images = DenseNet(40, 100), torch.empty(50, 3, 32, 32)
    points = freezing_points(len(network.layers()), 0.5, "linear")
    assert authors_estimate(network, images, points, linear=True) == pytest.approx(0.229, abs=0.002)
    assert saving(freezing_stages(points, 1), counted_costs(network, images)) == pytest.approx(0.234, abs=0.001)


def test_timed_costs() -> None:
    network, images = small().eval(), torch.randn(2, 3, 8, 8)
    before = snapshot(network)
    whole = timed_costs(network, images, repeats=2)
    ends = timed_costs(network, images, probes=2, repeats=1)
    for costs in (whole, ends):
        assert len(costs) == 3
        assert min(costs) > 0
    assert min(ends[0], ends[2]) <= ends[1] <= max(ends[0], ends[2])
    assert_unchanged(network, before)
    with pytest.raises(InputError, match="probes must be at least 2, got 1"):
        timed_costs(network, images, probes=1)
    with pytest.raises(InputError, match="repeats must be at least 1, got 0"):
        timed_costs(network, images, repeats=0)


def test_predicted_saving_is_that_of_the_schedule() -> None:
    network, images = DenseNet(10, 10), torch.empty(2, 3, 32, 32)
    predicted = predicted_saving(network, images, t0=0.5, scaling="linear", freeze_every=2)
    stages = freezing_stages(freezing_points(len(network.layers()), 0.5, "linear"), 2)
    assert predicted == saving(stages, counted_costs(network, images)) > 0
    measured = predicted_saving(small(), torch.randn(2, 3, 8, 8), t0=0.2, measure=True)
    assert -0.5 < measured < 1
    with pytest.raises(InputError, match="t0 must be in"):
        predicted_saving(network, images, t0=1.5)
