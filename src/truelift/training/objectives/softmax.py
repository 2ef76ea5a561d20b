"""Cross entropy over the network's own linear head. N images, K classes."""

from dataclasses import dataclass
from typing import Annotated

import torch.nn.functional as F

from truelift.data import Batch
from truelift.models import Classifier
from truelift.options import SHARE_BELOW_ONE
from truelift.training.objectives.base import Around, Objective, StepLosses, error_percent


@dataclass(frozen=True, kw_only=True)
class SoftmaxOptions:
    """Options of softmax, some of which the L-GM loss has too."""

    label_smoothing: Annotated[float, SHARE_BELOW_ONE] = 0.0
    """Share of the target spread evenly over all classes; in [0, 1)."""


class Softmax(Objective):
    """Cross entropy over the network's own head.

    Args:
        label_smoothing: Share of the target spread evenly over all classes, in [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """{"cross_entropy": the batch's mean}; labels int64 (N,), or the share of each class, (N, K)."""
        # The logarithm of a sum loses digits in bfloat16.
        logits = self.logits(network, batch.images).float()
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
        return StepLosses({"cross_entropy": loss}, error_percent(logits, batch.labels))


def build(options: SoftmaxOptions, around: Around) -> Softmax:
    """The objective that `options` describe."""
    return Softmax(options.label_smoothing)
