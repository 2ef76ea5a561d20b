"""Weights of classes in a loss. N images, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from cyclopts import Parameter
from torch import Tensor

from truelift.errors import InputError
from truelift.options import In

_LARGEST = 1e6

_WEIGHT = In(
    f"balanced, or numbers above 0 and at most {_LARGEST:g}, one a class",
    lambda value: value == "balanced" or (not isinstance(value, str) and 0 < value <= _LARGEST),
)


@dataclass(frozen=True, kw_only=True)
class ClassWeightOptions:
    """How much each class counts."""

    class_weights: Annotated[Literal["balanced"] | tuple[float, ...] | None, _WEIGHT, Parameter(n_tokens=-1)] = None
    """softmax: how much each class counts, a number for each in their order; balanced: w_k = N / (K·n_k), for n_k of N
    training images and K classes. The loss is the mean over images of w times cross entropy."""


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """The weight of each class for which all classes count alike, and an image 1 in the mean.

    Formula, with n_k training images of class k, N of all, and K classes that have any:

        w_k = N / (K · n_k), and 0 of a class that has none.

    Source:
        King and Zeng, "Logistic Regression in Rare Events Data", 2001; scikit-learn's class_weight="balanced".

    >>> balanced_weights([6, 2, 0])
    [0.6666666666666666, 2.0, 0.0]
    """
    there = sum(count > 0 for count in counts)
    return [sum(counts) / (there * count) if count else 0.0 for count in counts]


def class_weights(options: ClassWeightOptions, counts: Sequence[int]) -> Tensor | None:
    """The weights that `options` ask for, float32 (K,); None where all count alike.

    Args:
        options: As above.
        counts: Training images of each class, (K,).

    Raises:
        InputError: There is not a number for each class.
    """
    if options.class_weights is None:
        return None
    if options.class_weights == "balanced":
        return torch.tensor(balanced_weights(counts))
    if len(options.class_weights) != len(counts):
        raise InputError(
            f"objective.class_weights must be {len(counts)} numbers, one a class, got {len(options.class_weights)}"
        )
    return torch.tensor(options.class_weights)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross entropy in which classes count differently.

    Formula, with t_ik the share of class k in image i's label, smoothed, and p the softmax of the logits:

        −1/N · Σ_i Σ_k w_k · t_ik · log p_ik

    torch's own mean divides by the sum of the labels' weights in place of N: how much an image counts would then depend
    on the others of its batch, and several processes would not have what one has.

    Args:
        logits: (N, K).
        labels: int64 (N,), or the share of each class, (N, K).
        weights: w, (K,).
        label_smoothing: Share of the target spread evenly over all classes, in [0, 1).
    """
    each = F.cross_entropy(logits, labels, weight=weights, label_smoothing=label_smoothing, reduction="none")
    return each.mean()
