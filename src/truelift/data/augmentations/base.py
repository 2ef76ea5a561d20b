"""A further change to the training images, after crop, flip and the like. N images, C channels, K classes."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Stage = Literal["pixels", "inputs"]
"""pixels: before normalisation, images are uint8, 0..255. inputs: after it, images are float32."""


@dataclass(frozen=True)
class Around:
    """What surrounds a change that is to be built."""

    classes: int
    """K."""
    image_shape: tuple[int, ...]
    """(C, H, W)."""
    fill: Tensor
    """The training images' mean colour, uint8 (C,)."""


class Change(Protocol):
    """A change to a whole batch. It is pure: no state, and all randomness from the generator it is given.

    The generator is on the CPU, whatever the images' device, so that the draws are the same on all. It is derived from
    (augmentation seed, epoch, batch number, the change's name): adding a change never shifts the draws of another.
    """

    stage: Stage

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The changed batch.

        Args:
            images: (N, C, H, W), channels-last; uint8 or float32 by `stage`. It may be changed in place.
            labels: int64 (N,), class numbers; or float32 (N, K), shares, where an earlier change mixed images. It may
                not be changed in place.
            generator: For what is drawn.

        Returns:
            Images of the same shape and type; and labels: the same, other class numbers, or shares (N, K).
        """
        ...
