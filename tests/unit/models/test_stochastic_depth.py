"""Stochastic depth against sums written out by hand, frequencies and expectations."""

import copy
import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.models import ModelOptions, build_model, check_model, initialise
from truelift.models.stochastic_depth import StochasticDepth, drop_branch, survival

NAMES = ["resnet14", "imagenet-resnet18", "imagenet-resnet50", "preact-resnet18", "preact-resnet50", "wrn-10-1"]


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.branch(x)
        return y


def doubling(blocks: int) -> Any:
    """Each block doubles its input, unless its branch is skipped."""
    return nn.Sequential(*(Residual(nn.Identity()) for _ in range(blocks)))


def build(name: str, drop: float, **options: object) -> Any:
    width = {} if name.startswith("wrn") else {"width": 4}
    model = ModelOptions(name=name, stochastic_depth=drop, **width, **options)  # type: ignore[arg-type]
    network = build_model(model, classes=3, in_channels=3)
    initialise(network, 0)
    return network


def test_survival_falls_in_proportion_to_the_block() -> None:
    # Equation 4 of the paper for its own CIFAR network: 54 blocks, the last survives half of the time.
    shares = survival(54, 0.5)
    assert shares[-1] == 0.5
    assert shares[26] == 0.75
    assert sum(shares) == pytest.approx((3 * 54 - 1) / 4)  # the paper's expected depth


def test_blocks_survive_as_often_as_said_and_by_themselves() -> None:
    # What passes l-th block alone: each image's output tells by which powers it was multiplied.
    network = doubling(2)
    StochasticDepth([block.branch for block in network], 0.6)
    torch.manual_seed(0)
    count = 40_000
    out = network(torch.ones(count, 1))[:, 0]
    first, second = 1 + 1 / 0.7, 1 + 1 / 0.4
    expected = {1.0: 0.3 * 0.6, first: 0.7 * 0.6, second: 0.3 * 0.4, first * second: 0.7 * 0.4}
    seen = 0
    for value, probability in expected.items():
        times = int(torch.isclose(out, torch.tensor(value)).sum())
        seen += times
        assert abs(times - count * probability) < 5 * math.sqrt(count * probability * (1 - probability)), value
    assert seen == count


def test_a_branch_is_whole_or_gone_for_each_image_and_its_mean_is_kept() -> None:
    torch.manual_seed(0)
    branch = torch.randn(20_000, 2, 3, dtype=torch.float64)
    dropped = drop_branch(branch, 0.8)
    factor = dropped / branch
    assert torch.all((factor == 0) | torch.isclose(factor, torch.tensor(1.25, dtype=torch.float64)))
    assert torch.equal(factor.amin((1, 2)) > 0, factor.amax((1, 2)) > 0)
    assert factor.mean().item() == pytest.approx(1, abs=5 * math.sqrt(0.25 / 20_000))
    assert torch.equal(drop_branch(branch, 1.0), branch)


def test_gradients_pass_only_through_branches_that_are_kept() -> None:
    network: Any = nn.Sequential(Residual(nn.Linear(1, 1, bias=False)))
    with torch.no_grad():
        network[0].branch.weight.fill_(3.0)
    StochasticDepth([network[0].branch], 0.5)
    torch.manual_seed(0)
    x = torch.ones(200, 1, requires_grad=True)
    out = network(x)
    out.sum().backward()
    assert x.grad is not None
    kept = out[:, 0] > 2
    assert 50 < int(kept.sum()) < 150
    assert torch.equal(x.grad[:, 0], 1 + 3 * 2.0 * kept)
    assert network[0].branch.weight.grad.item() == 2 * int(kept.sum())


@pytest.mark.parametrize("name", NAMES)
def test_inference_and_initial_weights_are_the_plain_networks(name: str) -> None:
    plain, deep = build(name, 0.0).eval(), build(name, 0.9).eval()
    assert list(plain.state_dict()) == list(deep.state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain(images), deep(images))


@pytest.mark.parametrize("name", NAMES)
def test_a_block_whose_branch_is_dropped_is_its_shortcut(name: str) -> None:
    """The ends of the branches are the right ones: with every image dropped, a block is its shortcut."""
    network = build(name, 0.0)
    for block in network.blocks:
        assert any(module is block.branch_end for module in block.modules())
        block.branch_end.register_forward_hook(lambda _, __, out: torch.zeros_like(out))
    network.eval()
    for block in list(network.blocks)[1:]:
        channels = next(m.in_channels for m in block.modules() if isinstance(m, nn.Conv2d))
        x = torch.rand(2, channels, 8, 8)  # not negative: a last ReLU changes nothing of the identity
        out = block(x.clone())
        shortcut = block.shortcut
        if shortcut is None or isinstance(shortcut, nn.Identity):
            assert torch.equal(out, x), name
        else:
            assert not torch.equal(out, torch.zeros_like(out))


def test_batch_norm_after_the_addition() -> None:
    network = build("resnet8", 0.0, batch_norm="after")
    block = network.blocks[0]
    block.branch_end.register_forward_hook(lambda _, __, out: torch.zeros_like(out))
    x = torch.rand(2, 4, 8, 8)
    assert torch.equal(block(x.clone()), torch.relu(block.bn2(x)))


def test_training_differs_is_seeded_and_a_frozen_block_is_never_skipped() -> None:
    network = build("resnet14", 0.9)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(network(images))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
    network.blocks.eval()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    network(images)
    assert torch.equal(torch.get_rng_state(), state)


def test_copies_drop_too_and_it_can_be_removed() -> None:
    network = doubling(3)
    depth = StochasticDepth([block.branch for block in network], 0.9)
    copied = copy.deepcopy(network)
    depth.remove()
    x = torch.ones(100, 1)
    assert torch.equal(network(x), 8 * x)
    torch.manual_seed(0)
    assert not torch.equal(copied(x), 8 * x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "vgg11", "stochastic_depth": 0.1}, "vgg11 has no option model.stochastic_depth, got 0.1"),
        ({"name": "densenet22", "stochastic_depth": 0.1}, "densenet22 has no option model.stochastic_depth, got 0.1"),
        ({"stochastic_depth": 1.0}, "model.stochastic_depth must be in [0, 1), got 1.0."),
        ({"stochastic_depth": -0.1}, "model.stochastic_depth must be in [0, 1), got -0.1."),
        (
            {"stochastic_depth": 0.1, "recompute": True},
            "model.recompute must be left out where model.stochastic_depth is given, got True.",
        ),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        check_model(ModelOptions(**options))  # type: ignore[arg-type]


def test_a_share_out_of_range() -> None:
    with pytest.raises(InputError, match=r"drop must be in \[0, 1\), got 1"):
        StochasticDepth([nn.Identity()], 1)


def _with_depth() -> nn.Module:
    end = nn.Identity()
    StochasticDepth([end], 0.5)
    return end


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        (doubling(2), "a list of modules, got Sequential"),
        (["layer1.bn2"], "modules, got one of type str"),
        ([nn.Identity()] * 2, "different modules"),
        ([_with_depth()], "without stochastic depth so far"),
    ],
)
def test_branch_ends_are_different_modules(ends: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        StochasticDepth(ends, 0.5)


def test_no_branch_ends_are_no_change() -> None:
    depth = StochasticDepth([], 0.5)
    assert depth.survival == []
    depth.remove()


def test_a_branch_that_gives_no_tensor_is_told() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    network = Two()
    StochasticDepth([network], 0.5)
    with pytest.raises(InputError, match="branch_ends must give tensors, got tuple from Two"):
        network(torch.ones(2, 2))
