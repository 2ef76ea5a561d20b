"""First seam: from a batch to named losses, and from images to logits. N images, D features, K classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from truelift.data import Batch
from truelift.models import Classifier


@dataclass(frozen=True)
class Around:
    """What surrounds a part that is to be built."""

    classes: int
    """K."""
    feature_size: int | None
    """D, of what the network's head takes; None where the network has no head that could be found."""
    image_shape: tuple[int, ...]
    """(C, H, W)."""
    steps_per_epoch: int
    steps: int
    """Optimizer steps of the whole training."""
    device: str
    seed: int
    class_counts: tuple[int, ...] = ()
    """How many training images have each class's label."""


@dataclass(frozen=True)
class ParameterRule:
    """How the optimizer shall treat some parameters in another way than the rest."""

    parameters: Sequence[nn.Parameter]
    lr_factor: float
    """Their learning rate, as a multiple of the others'."""
    decay: bool
    """Whether weight decay acts on them."""


class StepLosses(NamedTuple):
    """What an objective makes of a batch."""

    losses: dict[str, Tensor]
    """Scalars averaged over the batch, by name; the first is the main one."""
    error: Tensor
    """Percent of the main task's images whose label is not the class with the largest logit."""


def with_graphs(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same losses, of which a constant one has a gradient too: 0.

    A regulariser may be a constant until it sets in, and what goes backwards from each loss asks for its graph. Where
    no loss has one, they stay as they are.
    """
    main = next((loss for loss in losses.values() if loss.requires_grad), None)
    if main is None:
        return dict(losses)
    # The other side of a choice has a gradient of 0, also where a product with 0 would be NaN.
    return {
        name: loss if loss.requires_grad else torch.where(torch.ones_like(main, dtype=torch.bool), loss.to(main), main)
        for name, loss in losses.items()
    }


class ClassGaussians(NamedTuple):
    """A Gaussian for each class, along the axes."""

    means: Tensor
    """(K, D)."""
    variances: Tensor
    """(K, D)."""


class Objective(nn.Module):
    """What is minimised. A module, so that parameters of its own reach the optimizer and the checkpoint."""

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """The losses of a batch, and its error."""
        raise NotImplementedError

    def logits(self, network: Classifier, images: Tensor) -> Tensor:
        """What is predicted without labels, (N, K)."""
        logits: Tensor = network(images)
        return logits

    def set_step(self, step: int) -> None:
        """The number of steps made: update what follows it."""

    def parameter_rules(self, network: Classifier) -> list[ParameterRule]:
        """What the optimizer shall treat in another way; nothing by default."""
        return []

    def log_likelihood(self, network: Classifier, features: Tensor) -> Tensor | None:
        """How probable the features (N, D) that the classifier sees are, (N,); None where there is no such model."""
        return None

    def gaussians(self, network: Classifier) -> ClassGaussians | None:
        """The Gaussians over the features that the classifier sees; None where there are none."""
        return None


@torch.no_grad()
def error_percent(logits: Tensor, labels: Tensor) -> Tensor:
    """Percent of the images whose label is not the class with the largest logit, of (N, K).

    Args:
        logits: (N, K).
        labels: int64 (N,), or the share of each class, (N, K): then the class with the largest share is the label.
    """
    hard = labels.argmax(1) if labels.is_floating_point() else labels
    return 100 * (logits.argmax(1) != hard).float().mean()
