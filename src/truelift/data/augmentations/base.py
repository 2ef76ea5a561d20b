"""Further changes to training batches, beside crop, flip and the like. N images, C channels, H×W pixels, K classes."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from truelift.data.batch import Batch
from truelift.data.order import WHOLE, Share
from truelift.seeds import derive

Stage = Literal["pixels", "inputs"]
"""pixels: uint8, before the preprocessing. inputs: float32, as the network takes them."""


class Change(Protocol):
    """A change to a whole training batch."""

    stage: Stage

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The changed images and labels.

        Args:
            images: (N, C, H, W), uint8 or float32 by the stage, channels-last.
            labels: int64 (N,), or the share of each class, float32 (N, K), after a change that mixes.
            generator: The only source of randomness; on the CPU.
        """
        ...


class Changes(NamedTuple):
    """Changes in their order, each with its name."""

    named: Sequence[tuple[str, Change]] = ()

    def apply(
        self,
        images: Tensor,
        labels: Tensor,
        preprocess: Callable[[Tensor], Tensor],
        seed: Callable[[str], int],
        share: Share = WHOLE,
    ) -> Batch:
        """A batch from its pixels: those changes, the preprocessing, the others.

        Args:
            images: uint8 (N, C, H, W).
            labels: int64 (N,).
            preprocess: From pixels to inputs.
            seed: For each name that of its draws.
            share: The part of the batch that is wanted. Changes see the whole batch, so that several processes together
                have what one would have.
        """
        for name, change in self.named:
            if change.stage == "pixels":
                images, labels = change(images, labels, _generator(seed, name))
        later = [(name, change) for name, change in self.named if change.stage == "inputs"]
        if not later:
            return Batch(preprocess(share.of(images)), share.of(labels))
        inputs = preprocess(images)
        for name, change in later:
            inputs, labels = change(inputs, labels, _generator(seed, name))
        return Batch(share.of(inputs), share.of(labels))

    def attempt(self, images: Tensor, labels: Tensor, preprocess: Callable[[Tensor], Tensor]) -> None:
        """Make the changes once to images that are then thrown away, so that misfits are refused before training.

        Raises:
            InputError: A change does not fit the images.
        """
        self.apply(images, labels, preprocess, lambda name: 0)


NO_CHANGES = Changes()


def _generator(seed: Callable[[str], int], name: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed(name))


def batch_seed(augment_seed: int, epoch: int, number: int, *of_part: int) -> Callable[[str], int]:
    """For each change's name the seed of its draws for a batch, which shifts no other draw."""
    return lambda name: derive(augment_seed, epoch, number, *of_part, name)
