"""Binary cross entropy over the network's own linear head: for several labels an image, or one. N images, K classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.data import Batch
from truelift.models import Classifier
from truelift.techniques.soft_labels import shares_of_classes
from truelift.training.objectives.base import Around, Objective, StepLosses, error_percent


class BinaryCrossEntropy(Objective):
    """Each class by itself against the rest.

    Formula, with z_ik the logits, y_ik 1 where image i has the label of class k and 0 otherwise, and σ the sigmoid:

        −1/(N·K) · Σ_i Σ_k y_ik · log σ(z_ik) + (1 − y_ik) · log(1 − σ(z_ik))
    """

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """{"binary_cross_entropy": the mean over images and classes}.

        Labels are uint8 (N, K), or of one label an image int64 (N,), or the share of each class, float32 (N, K).
        """
        # The logarithms lose digits in bfloat16.
        logits = self.logits(network, batch.images).float()
        several = batch.labels.ndim == 2 and not batch.labels.is_floating_point()
        target = batch.labels.float() if several else shares_of_classes(batch.labels, logits.shape[1])
        loss = F.binary_cross_entropy_with_logits(logits, target)
        error = label_set_error_percent(logits, batch.labels) if several else error_percent(logits, batch.labels)
        return StepLosses({"binary_cross_entropy": loss}, error)


@torch.no_grad()
def label_set_error_percent(logits: Tensor, labels: Tensor) -> Tensor:
    """Percent of the images for which the classes with a logit of at least 0 are not just those of their labels.

    Args:
        logits: (N, K).
        labels: uint8 (N, K).
    """
    return 100 * ((logits >= 0) != labels.bool()).any(1).float().mean()


def build(options: object, around: Around) -> BinaryCrossEntropy:
    """The objective; it has no options."""
    return BinaryCrossEntropy()
