"""Against the authors' algorithm, and what is frozen stays as it is."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.freezeout.freezeout_cases import STEPS, make_batches, make_network, sgd, train
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from truelift.errors import InputError
from truelift.techniques.freezeout import FreezeOut

SCALINGS = {"linear": lambda x: x, "squared": lambda x: x**2, "cubic": lambda x: x**3}


def authors(
    network: nn.Sequential, t0: float, scaling: str, scale_lr: bool
) -> tuple[list[dict[int, float]], dict[int, int]]:
    """Their code's algorithm: learning rates of each step by layer, and the step at which each layer leaves."""
    layers = [network[0], network[1], network[2], network[5]]
    groups = [{"params": list(layer.parameters()), "layer_index": i} for i, layer in enumerate(layers)]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2)
    rates, left = [], {}
    for j, (images, labels) in enumerate(make_batches()):
        for i, layer in enumerate(layers):
            ratio = SCALINGS[scaling](t0 + (1 - t0) * i / (len(layers) - 1))
            max_j = STEPS * ratio
            group = [g for g in optimizer.param_groups if g["layer_index"] == i]
            if i in left:
                continue
            if j > max_j:
                left[i] = j
                layer.eval()
                for p in layer.parameters():
                    p.requires_grad = False
                    p.grad = None
                optimizer.param_groups.remove(group[0])
            else:
                group[0]["lr"] = 0.05 / (ratio if scale_lr else 1) * (1 + math.cos(math.pi * j / max_j))
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        rates.append({g["layer_index"]: g["lr"] for g in optimizer.param_groups})
    return rates, left


@pytest.mark.parametrize(
    ("t0", "scaling", "scale_lr"),
    [
        (0.8, "cubic", True),
        (0.5, "linear", False),
        (0.3, "squared", True),
        (0.2, "cubic", False),
        (0.5, "linear", True),
    ],
)
def test_equals_the_authors_algorithm(t0: float, scaling: Any, scale_lr: bool) -> None:
    reference, network = make_network(), make_network()
    expected_rates, expected_left = authors(reference, t0, scaling, scale_lr)

    optimizer = sgd(network, weight_decay=1e-2)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=t0, scaling=scaling, scale_lr=scale_lr)
    rates: list[dict[int, float]] = []
    optimizer.register_step_pre_hook(
        lambda o, *_: rates.append({g["layer"]: g["lr"] for g in o.param_groups if g["params"]})
    )
    left: dict[int, int] = {}
    for j, (images, labels) in enumerate(make_batches()):
        left |= dict.fromkeys(freezeout.step(), j)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        assert {group["lr"] for group in optimizer.param_groups} == {0.1}

    assert left == expected_left
    assert len(left) == 3
    for mine, theirs in zip(rates, expected_rates, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-10, abs=1e-15)
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=1e-10, atol=1e-13, msg=name)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.01),
    "sgd fused": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.01, fused=True),
    "sgd foreach": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01),
    "adamw fused": lambda p: torch.optim.AdamW(p, 0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.5, weight_decay=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.05, weight_decay=0.01),
    "adagrad fused": lambda p: torch.optim.Adagrad(p, 0.05, fused=True),
    "adam with a tensor as rate": lambda p: torch.optim.Adam(p, torch.tensor(0.01), foreach=False),
}


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    return sum(v.nbytes for state in optimizer.state.values() for v in state.values() if torch.is_tensor(v))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("freeze_every", [1, 2])
def test_frozen_layers_stay_and_their_state_is_freed(name: str, freeze_every: int) -> None:
    network = make_network()
    optimizer = OPTIMIZERS[name](network.parameters())
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0.2, scaling="linear", freeze_every=freeze_every)
    kept: list[dict[str, torch.Tensor]] = []
    sizes = []
    for step, (images, labels) in enumerate(make_batches()):
        if step % 5 == 0:
            network.train()  # as users do each epoch
        for number in freezeout.step():
            assert number == len(kept)
            kept.append({k: v.clone() for k, v in network[number].state_dict().items()})
        F.cross_entropy(network(images), labels).backward()  # without zero_grad: None stays None
        optimizer.step()
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = None
        sizes.append(state_bytes(optimizer))
        for number, was in enumerate(kept):
            layer = network[number]
            assert all(torch.equal(v, was[k]) for k, v in layer.state_dict().items())
            for p in layer.parameters():
                assert p.grad is None
                assert not p.requires_grad
                assert p not in optimizer.state
            assert not any(m.training for m in layer.modules())
        norms = [m for m in network[freezeout.frozen :].modules() if isinstance(m, _BatchNorm)]
        assert all(m.training for m in norms)
    assert freezeout.frozen == len(kept) == (3 if freeze_every == 1 else 2)
    if sizes[0]:
        boundaries = [i for i in range(1, STEPS) if sizes[i] < sizes[i - 1]]
        # A layer leaves at the first step after t_i·steps: 8, 18⅔, 29⅓.
        assert boundaries == ([9, 19, 30] if freeze_every == 1 else [19])
        assert sizes == sorted(sizes, reverse=True)


def test_no_layer_moves_after_its_point_while_its_group_waits() -> None:
    network = make_network()
    optimizer = sgd(network, weight_decay=0.1)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0.2, scaling="linear", freeze_every=2)
    batches = make_batches()
    train(network, optimizer, freezeout, batches[:10])
    assert freezeout.frozen == 0
    assert freezeout.factors()[0] == 0
    before = network[0][0].weight.clone()
    train(network, optimizer, freezeout, batches[10:15])
    assert torch.equal(network[0][0].weight, before)


def test_first_layer_never_trained_with_t0_zero() -> None:
    network, start = make_network(), make_network()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0)
    train(network, optimizer, freezeout, make_batches())
    for mine, first in zip(network[0].parameters(), start[0].parameters(), strict=True):
        assert torch.equal(mine, first)


def test_t0_one_is_a_plain_cosine() -> None:
    network, plain = make_network(), make_network()
    optimizer, other = sgd(network), sgd(plain)
    train(network, optimizer, FreezeOut(network, optimizer, steps=STEPS, t0=1), make_batches())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(other, STEPS)
    for images, labels in make_batches():
        other.zero_grad()
        F.cross_entropy(plain(images), labels).backward()
        other.step()
        schedule.step()
    for mine, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adamw", "adamw fused", "rmsprop"])
@pytest.mark.parametrize("cut", [5, 9, 10, 25, 39])
def test_resumed_training_is_bit_identical(name: str, cut: int) -> None:
    batches = make_batches()
    options: dict[str, Any] = {"steps": STEPS, "t0": 0.2, "scaling": "linear"}

    def start(seed: int = 0) -> tuple[nn.Sequential, Any, FreezeOut]:
        network = make_network(seed)
        optimizer = OPTIMIZERS[name](network.parameters())
        return network, optimizer, FreezeOut(network, optimizer, **options)

    whole = start()
    train(*whole, batches)
    first = start()
    train(*first, batches[:cut])
    states = [part.state_dict() for part in (first[0], first[2], first[1])]
    network, optimizer, freezeout = start(seed=7)
    for part, state in zip((network, freezeout, optimizer), states, strict=True):
        part.load_state_dict(state)
    assert freezeout.frozen == first[2].frozen
    train(network, optimizer, freezeout, batches[cut:])
    for key, tensor in whole[0].state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor), key
    with pytest.raises(InputError, match=f"at most {STEPS} times"):
        freezeout.step()
    assert freezeout.state_dict() == whole[2].state_dict()


@pytest.mark.parametrize("other", [{"steps": 41}, {"t0": 0.3}, {"scale_lr": False}, {"freeze_every": 2}])
def test_state_of_another_schedule_is_refused(other: dict[str, Any]) -> None:
    network, donor = make_network(), make_network()
    given = FreezeOut(donor, sgd(donor), **{"steps": STEPS, "t0": 0.2, **other})
    for _ in range(35):
        given.step()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0.2)
    before = freezeout.state_dict()
    with pytest.raises(InputError, match="same schedule"):
        freezeout.load_state_dict(given.state_dict())
    assert freezeout.state_dict() == before
    assert freezeout.frozen == 0
    assert all(p.requires_grad for p in network.parameters())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 14


def test_steps_at_least_one() -> None:
    network = make_network()
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        FreezeOut(network, sgd(network), steps=0)
