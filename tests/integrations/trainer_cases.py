"""A small network, its batches, and loops by hand that the trainers are held against."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.techniques.freezeout.front import Front
from truelift.techniques.gradient_similarity import GradientSimilarity

IMAGES, BATCH = 96, 4
LAYERS = ["blocks.*", "head"]
"""Four layers: three convolutions with batch norm, and the head."""


class Network(nn.Module):
    """Three convolutions with batch norm, and a head; features apart."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(2 if i == 0 else 4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
                for i in range(3)
            )
        )
        self.head: nn.Module = nn.Linear(4, 3)

    def features(self, images: Tensor) -> Tensor:
        for block in self.blocks:
            images = F.relu(block(images))
        return images.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def make_network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network()


def make_images() -> tuple[Tensor, Tensor]:
    """Images (96, 2, 5, 5) and labels."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(IMAGES, 2, 5, 5, generator=generator), torch.randint(0, 3, (IMAGES,), generator=generator)


def make_batches(epochs: int) -> list[tuple[Tensor, Tensor]]:
    """24 batches an epoch, in the images' order."""
    images, labels = make_images()
    return [pair for _ in range(epochs) for pair in zip(images.split(BATCH), labels.split(BATCH), strict=True)]


def sgd(network: nn.Module, **options: Any) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), **{"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, **options})


def train(network: Network, optimizer: torch.optim.Optimizer, freezing: Front, epochs: int, accumulated: int) -> None:
    """The loop by hand: a step of `freezing`, so many batches' mean loss, a step of the optimizer."""
    batches = make_batches(epochs)
    for start in range(0, len(batches), accumulated):
        freezing.step()
        for images, labels in batches[start : start + accumulated]:
            (F.cross_entropy(network(images), labels) / accumulated).backward()
        optimizer.step()
        optimizer.zero_grad()


def two_losses(network: Network, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The classes, and how bright an image is, from one trunk."""
    features = network.features(images)
    return F.cross_entropy(network.head(features), labels), F.mse_loss(features.mean(1), images.mean((1, 2, 3)))


def train_similar(
    network: Network, optimizer: torch.optim.Optimizer, similarity: GradientSimilarity, epochs: int, accumulated: int
) -> None:
    """The loop by hand for two losses."""
    batches = make_batches(epochs)
    for start in range(0, len(batches), accumulated):
        parts = batches[start : start + accumulated]
        for number, (images, labels) in enumerate(parts, 1):
            losses = [loss / accumulated for loss in two_losses(network, images, labels)]
            (similarity.backward if number == len(parts) else similarity.accumulate)(*losses)
        optimizer.step()
        optimizer.zero_grad()


def assert_equal(network: nn.Module, expected: nn.Module) -> None:
    """Weights and running statistics are the same to rounding."""
    found = network.state_dict()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
