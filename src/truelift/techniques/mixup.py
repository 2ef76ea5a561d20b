"""Mixup: each image and its label mixed with those of another. N images, C channels, H×W pixels, K classes."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from truelift.errors import real, whole
from truelift.options import Only, above
from truelift.techniques.batches import check_batch, check_count, check_floating
from truelift.techniques.devices import moved
from truelift.techniques.soft_labels import mixed_labels


def mixup(images: Tensor, labels: Tensor, weight: float, partners: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Images mixed, x ← w·x + (1 − w)·x[partners], and their labels in the same way.

    Args:
        images: x, float (N, C, H, W).
        labels: int64 (N,) in 0..K-1, or the share of each class, float32 (N, K).
        weight: w, in [0, 1].
        partners: int64 (N,), for each image the number of another in the batch.
        classes: K, at least 2.

    Returns:
        Images of the same shape and layout, and the share of each class, float32 (N, K).

    Raises:
        InputError: A number or a label is out of range, or labels are of another form.
    """
    real("weight", weight, lambda w: 0 <= w <= 1, "in [0, 1]")
    return torch.lerp(images[partners], images, weight), mixed_labels(labels, partners, weight, classes)


@dataclass(frozen=True, kw_only=True)
class MixupOptions:
    """Options of mixup."""

    mixup_alpha: Annotated[float, above(0, 1000), Only("names", "mixup")] = 0.2
    """mixup: the weight is drawn from Beta(α, α); above 0. 1 is even, small values mix little."""


class Mixup:
    """Mixes every batch with itself in another order, by one weight a batch.

    Formula:
        w ~ Beta(α, α),   x ← w·x + (1 − w)·x[π],   y ← w·y + (1 − w)·y[π],   π a random order

    Args:
        classes: K, at least 2.
        alpha: α, above 0 and finite.

    Raises:
        InputError: An argument is out of range, or a batch is of another form.

    Example:
        >>> mix = Mixup(classes=10, alpha=0.2)
        >>> images, targets = mix(images, labels, torch.Generator().manual_seed(step))
        >>> loss = F.cross_entropy(network(images), targets)

    Source:
        Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", 2018, arXiv 1710.09412,
        equation 1; one weight a batch and the batch with itself, as in the authors' code. The paper takes α from 0.1 to
        0.4 on ImageNet and 1 on CIFAR.
    """

    stage: Literal["inputs"] = "inputs"

    def __init__(self, classes: int, alpha: float = 0.2) -> None:
        whole("classes", classes, 2, 10**9)
        real("alpha", alpha, lambda a: 0 < a < float("inf"), "above 0 and finite")
        self.classes = classes
        self.alpha = alpha

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The mixed images and labels; see `mixup` for the shapes. `generator` is on the CPU."""
        check_batch(images, generator)
        check_floating(images)
        check_count(labels, images)
        weight = beta(self.alpha, generator)
        partners = moved(torch.randperm(len(images), generator=generator), images.device)
        return mixup(images, labels, weight, partners, self.classes)


def beta(alpha: float, generator: torch.Generator) -> float:
    """A number drawn from Beta(α, α)."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):  # torch's distributions take no generator
        torch.manual_seed(seed)
        return float(torch.distributions.Beta(alpha, alpha).sample())


def build(options: MixupOptions, classes: int) -> Any:
    """Mixup as `options` describe it."""
    return Mixup(classes, options.mixup_alpha)
