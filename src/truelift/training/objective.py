"""First seam: from a batch to named losses, and from images to logits. N images, D features, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.models import Classifier
from truelift.training.distributed import ALONE, World


@dataclass(frozen=True)
class ParameterRule:
    """How the optimizer shall treat some parameters in another way than the rest."""

    parameters: Sequence[nn.Parameter]
    lr_factor: float
    """Their learning rate is so many times the others'."""
    decay: bool
    """Whether weight decay acts on them."""


class ErrorCount:
    """How many of the images since `clear` had another label than the class with the largest logit.

    Args:
        world: The processes whose images count together.
    """

    def __init__(self, world: World = ALONE) -> None:
        self._world = world
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self.wrong: int | Tensor = 0
        self.images = 0
        self.batches = 0

    @torch.no_grad()
    def add(self, logits: Tensor, labels: Tensor) -> None:
        """One batch: (N, K) and int64 (N,). Counted on the device, and not read."""
        self.wrong = self.wrong + self._world.total((logits.argmax(1) != labels).sum())
        self.images += len(labels) * self._world.size
        self.batches += 1

    def percent(self) -> float:
        """The error in percent, of at least one image; waits for the device."""
        return 100 * int(self.wrong) / self.images


class Objective(nn.Module):
    """What is minimised. A module, so that parameters of its own reach the optimizer and the checkpoint."""

    watched: ErrorCount | None = None
    """Told of the main task's logits in training, while somebody wants to know."""

    def forward(self, network: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The losses of a batch, each a scalar averaged over it, by name; the first is the main one."""
        raise NotImplementedError

    def logits(self, network: Classifier, images: Tensor) -> Tensor:
        """What is predicted without labels, (N, K)."""
        logits: Tensor = network(images)
        return logits

    def set_step(self, step: int) -> None:
        """So many steps are made: move what follows them."""

    def watch(self, errors: ErrorCount | None) -> None:
        """From now on tell `errors`, or nobody, of each batch."""
        self.watched = errors

    def parameter_rules(self, network: Classifier) -> list[ParameterRule]:
        """What the optimizer shall treat in another way; nothing by default."""
        return []


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
        if self.watched is not None:
            self.watched.add(logits, labels)
        return {"cross_entropy": F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)}
