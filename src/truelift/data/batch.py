"""What a step of the training is given. N images, K classes."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Images with their labels, and another task's where there is one."""

    images: Tensor
    """(N, C, H, W), as the network takes them; or what frozen layers made of them."""
    labels: Tensor
    """int64 (N,), or the share of each class, float32 (N, K), each row of sum 1."""
    auxiliary: "Batch | None" = None
    """Of another task, with its own labels."""
