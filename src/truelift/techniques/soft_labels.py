"""Labels that say how much of an image belongs to each class. N images, K classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import whole
from truelift.techniques.batches import check_labels


def shares_of_classes(labels: Tensor, classes: int) -> Tensor:
    """The share of each class, float32 (N, K), from class numbers int64 (N,); given shares stay as they are."""
    return labels if labels.is_floating_point() else F.one_hot(labels, classes).float()


def mixed_labels(labels: Tensor, partners: Tensor, weight: float | Tensor, classes: int) -> Tensor:
    """Labels mixed, y ← w·y + (1 − w)·y[partners], float32 (N, K).

    Args:
        labels: y, int64 (N,) in 0..K-1, or shares of the classes (N, K).
        partners: int64 (N,), for each image the number of another in the batch.
        weight: w, one number, or (N, 1).
        classes: K, at least 2.

    Raises:
        InputError: The number of classes is out of range, or labels are neither (see `check_labels`).
    """
    whole("classes", classes, 2, 10**9)
    check_labels(labels, classes)
    shares = shares_of_classes(labels, classes)
    shares = shares.to(torch.promote_types(shares.dtype, torch.float32))
    return weight * shares + (1 - weight) * shares[partners]
