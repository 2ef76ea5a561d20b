"""Each optimizer against torch's plain single-tensor form in float64, and every one through the loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from truelift.errors import InputError
from truelift.options import check
from truelift.training.optimizers import OptimizerOptions
from truelift.training.optimizers import build as make_optimizer

PLAIN: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(
        p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01, foreach=False, fused=False
    ),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.9, 0.99), weight_decay=0.01, foreach=False, fused=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.05, alpha=0.8, momentum=0.9, weight_decay=0.01, foreach=False),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, weight_decay=0.01, foreach=False, fused=False),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.05, rho=0.8, weight_decay=0.01, foreach=False),
}


@pytest.mark.parametrize("name", PLAIN)
def test_equals_torchs_plain_optimizer(name: str) -> None:
    networks = [nn.Linear(4, 3).double() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    options = OptimizerOptions(name=name, lr=0.05, beta2=0.99, rho=0.8, weight_decay=0.01)
    optimizers = [make_optimizer(options, [networks[0]]), PLAIN[name](networks[1].parameters())]
    images = torch.randn(10, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for batch in images:
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            network(batch).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(networks[0].weight, networks[1].weight, rtol=1e-9, atol=1e-12)


def test_norms_and_biases_without_decay() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    options = OptimizerOptions(weight_decay=0.1, decay_norms_and_biases=False)
    decayed, plain = make_optimizer(options, [network]).param_groups
    assert [p.ndim for p in decayed["params"]] == [2]
    assert decayed["weight_decay"] == 0.1
    assert [p.ndim for p in plain["params"]] == [1, 1, 1]
    assert plain["weight_decay"] == 0


def test_decoupled_decay_by_hand() -> None:
    network = nn.Linear(4, 3).double()
    theta, velocity = network.weight.detach().clone(), torch.zeros(3, 4, dtype=torch.float64)
    options = OptimizerOptions(lr=0.05, momentum=0.9, weight_decay=0.2, decoupled_weight_decay=True)
    optimizer = make_optimizer(options, [network])
    images = torch.randn(6, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for step, batch in enumerate(images):
        optimizer.param_groups[0]["lr"] = lr = 0.05 / (1 + step)
        optimizer.zero_grad()
        network(batch).sum().backward()  # whose gradient is the batch's sum, whatever the weights
        gradient = batch.sum(0).expand(3, 4)
        optimizer.step()
        velocity = 0.9 * velocity + gradient
        theta = (1 - lr * 0.2) * theta - lr * (gradient + 0.9 * velocity)
    torch.testing.assert_close(network.weight.detach(), theta, rtol=1e-12, atol=1e-12)
    assert optimizer.param_groups[0]["weight_decay"] == 0.2


def test_frozen_weights_do_not_shrink() -> None:
    network = nn.Linear(4, 3)
    before = network.weight.detach().clone()
    options = OptimizerOptions(weight_decay=0.2, decoupled_weight_decay=True, decay_norms_and_biases=False)
    optimizer = make_optimizer(options, [network])
    network.weight.requires_grad_(False)
    network(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize("decay", [True, False])
def test_batch_norms_biases_with_a_rate_of_their_own(decay: bool) -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    options = OptimizerOptions(lr=0.1, bias_lr_factor=8, weight_decay=0.1, decay_norms_and_biases=decay)
    optimizer = make_optimizer(options, [network])
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(groups) == len(list(network.parameters())) == sum(len(g["params"]) for g in optimizer.param_groups)
    rates = {name: groups[id(p)]["lr"] for name, p in network.named_parameters()}
    assert rates == {"0.weight": 0.1, "0.bias": 0.1, "1.weight": 0.1, "1.bias": pytest.approx(0.8)}
    assert groups[id(network[1].bias)]["weight_decay"] == (0.1 if decay else 0)


def test_decoupled_decay_is_sgds() -> None:
    with pytest.raises(InputError, match="decoupled_weight_decay must be false for other optimizers than sgd"):
        check(OptimizerOptions(name="rmsprop", decoupled_weight_decay=True))


OWN = """
import torch

class Bare(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)

class Any(torch.optim.SGD):
    def __init__(self, params, **options):
        super().__init__(params, **options)

def fixed(params):
    return torch.optim.SGD(params, lr=0.25)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., torch.optim.Optimizer]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(OWN)
    return lambda name, **options: make_optimizer(OptimizerOptions(name=name, **options), [nn.Linear(4, 3)])


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("parts.py:Bare", {"weight_decay": 0.01}, "takes no weight_decay: .*weight_decay must be 0 or left out"),
        ("parts.py:Bare", {"momentum": 0.5}, "takes no momentum: optimizer.momentum must be 0 or left out .0.9 counts"),
        ("parts.py:Any", {"weight_decay": 0.0}, "takes weight_decay as optimizer.args.weight_decay alone: .* got 0.0"),
        ("parts.py:fixed", {"lr": 0.05}, "takes no lr: optimizer.lr must be left out .0.1 counts as that., got 0.05"),
        ("torch.optim:SGD", {"momentum": 0.5}, "takes momentum as optimizer.args.momentum alone: .* got 0.5"),
        ("torch.optim:SGD", {"nesterov": False}, "takes nesterov as optimizer.args.nesterov alone: .*true counts"),
        ("torch.optim:RAdam", {"beta2": 0.95}, "takes no beta2: optimizer.beta2 must be 0 or left out"),
    ],
)
def test_what_an_optimizer_of_ones_own_is_not_given_is_refused(
    own: Any, name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=f'optimizer "{name}" {told}'):
        own(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "group"),
    [
        ("parts.py:Bare", {}, {"lr": 0.1, "weight_decay": 0}),  # nobody gave the default
        ("parts.py:Bare", {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False}, {"momentum": 0}),
        ("parts.py:Any", {"lr": 0.05, "args": {"lr": 0.05}}, {"lr": 0.05}),
        ("parts.py:fixed", {}, {"lr": 0.25}),
        ("torch.optim:SGD", {"weight_decay": 0.01, "lr": 0.05}, {"weight_decay": 0.01, "lr": 0.05}),
        ("torch.optim:SGD", {"momentum": 0.5, "args": {"momentum": 0.75}}, {"momentum": 0.75}),
    ],
)
def test_what_reaches_an_optimizer_of_ones_own(
    own: Any, name: str, options: dict[str, Any], group: dict[str, float]
) -> None:
    (found,) = own(name, **options).param_groups
    assert {key: found[key] for key in group} == group
