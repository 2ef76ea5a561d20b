"""Cross entropy over the network's own linear head. N images, K classes."""

from dataclasses import dataclass
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from truelift.data import Batch
from truelift.models import Classifier
from truelift.options import SHARE_BELOW_ONE, Only
from truelift.training.objectives.base import Around, Objective, StepLosses, error_percent
from truelift.training.objectives.class_weights import ClassWeightOptions, class_weights, weighted_cross_entropy


@dataclass(frozen=True, kw_only=True)
class SoftmaxOptions(ClassWeightOptions):
    """Options of softmax, some of which the L-GM loss has too."""

    label_smoothing: Annotated[float, SHARE_BELOW_ONE, Only("name", "softmax", "gaussian-mixture")] = 0.0
    """Share of the target spread evenly over all classes; in [0, 1)."""


class Softmax(Objective):
    """Cross entropy over the network's own head.

    Args:
        label_smoothing: Share of the target spread evenly over all classes, in [0, 1).
        weights: How much each class counts, (K,); None: all alike.
    """

    weights: Tensor | None

    def __init__(self, label_smoothing: float = 0.0, weights: Tensor | None = None) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        # Not in checkpoints: it is made anew from the same images.
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """{"cross_entropy": the batch's mean}; labels int64 (N,), or the share of each class, (N, K)."""
        # The logarithm of a sum loses digits in bfloat16.
        logits = self.logits(network, batch.images).float()
        if self.weights is None:
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
        else:
            loss = weighted_cross_entropy(logits, batch.labels, self.weights, self.label_smoothing)
        return StepLosses({"cross_entropy": loss}, error_percent(logits, batch.labels))


def build(options: SoftmaxOptions, around: Around) -> Softmax:
    """The objective that `options` describe."""
    return Softmax(options.label_smoothing, class_weights(options, around.class_counts))
