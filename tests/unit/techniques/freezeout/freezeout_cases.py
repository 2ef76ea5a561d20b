"""A small network, its batches, and a training with FreezeOut."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.techniques.freezeout import Front

STEPS = 40


def make_network(seed: int = 0) -> Any:
    """Three convolutions with norm and a head: four layers, float64."""
    torch.manual_seed(seed)
    blocks = [
        nn.Sequential(nn.Conv2d(2 if i == 0 else 4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()) for i in range(3)
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).double()


def make_batches(steps: int = STEPS) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(6, 2, 5, 5, generator=generator, dtype=torch.float64),
            torch.randint(0, 3, (6,), generator=generator),
        )
        for _ in range(steps)
    ]


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    freezeout: Front,
    batches: list[tuple[Tensor, Tensor]],
    called: Any = None,
) -> None:
    for images, labels in batches:
        freezeout.step()
        optimizer.zero_grad()
        F.cross_entropy((called or network)(images), labels).backward()
        optimizer.step()


def sgd(network: nn.Module, **options: Any) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), **{"lr": 0.1, "momentum": 0.9, "nesterov": True, **options})
