"""Each optimizer against torch's plain single-tensor form in float64, and every one through the loop."""

import pytest
import torch
from torch import nn

from truelift.training.optimizers import OptimizerOptions
from truelift.training.optimizers import build as make_optimizer

PLAIN = {
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
    options = OptimizerOptions(name=name, lr=0.05, beta2=0.99, rho=0.8, weight_decay=0.01)  # type: ignore[arg-type]
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
