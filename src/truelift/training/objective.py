"""First seam: from a batch to named losses, and from images to logits. N images, D features, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.models import Classifier


@dataclass(frozen=True)
class ParameterRule:
    """How the optimizer shall treat some parameters in another way than the rest."""

    parameters: Sequence[nn.Parameter]
    lr_factor: float
    """Their learning rate is so many times the others'."""
    decay: bool
    """Whether weight decay acts on them."""


class Objective(nn.Module):
    """What is minimised. A module, so that parameters of its own reach the optimizer and the checkpoint."""

    error: Tensor
    """Percent of the main task's last training batch that had another label than the class with the largest logit."""

    def forward(self, network: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses of a batch, each a scalar averaged over it, by name; the first is the main one."""
        raise NotImplementedError

    def logits(self, network: Classifier, images: Tensor) -> Tensor:
        """What is predicted without labels, (N, K)."""
        logits: Tensor = network(images)
        return logits

    def set_step(self, step: int) -> None:
        """So many steps are made: move what follows them."""

    def parameter_rules(self, network: Classifier) -> list[ParameterRule]:
        """What the optimizer shall treat in another way; nothing by default."""
        return []


@torch.no_grad()
def error_percent(logits: Tensor, labels: Tensor) -> Tensor:
    """Percent of the images whose label is not the class with the largest logit, of (N, K) and int64 (N,)."""
    return 100 * (logits.argmax(1) != labels).float().mean()


class Softmax(Objective):
    """Cross entropy over the network's own head.

    Args:
        label_smoothing: Share of the target spread evenly over all classes, in [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, network: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """{"cross_entropy": the batch's mean}."""
        # The logarithm of a sum loses digits in bfloat16.
        logits = self.logits(network, images).float()
        self.error = error_percent(logits, labels)
        return {"cross_entropy": F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)}
