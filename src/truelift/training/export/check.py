"""Is a file's network the one that it was made of? N images, C channels, H×W pixels."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from truelift.training.export.network import Exportable

LARGEST_DIFFERENCE = 1e-3
"""Relative: a hundred times what other orders of the same sums in float32 have been seen to make."""

_BATCHES = (1, 7)  # of other sizes than the example that a network is traced with

Reader = Callable[[Tensor], Sequence[Tensor]]
"""From uint8 images (N, C, H, W) to what the file's network gives."""


class Compared(NamedTuple):
    """What was found."""

    difference: float
    images: int


@torch.no_grad()
def compared(network: Exportable, read: Reader, shape: tuple[int, int, int]) -> Compared:
    """The largest |y' − y| / max(1, max |y|) over the outputs y of the network and y' of the file, on random pixels.

    Args:
        network: In inference mode.
        read: The file's.
        shape: Of an image, (C, H, W).
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for count in _BATCHES:
        images = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        for mine, theirs in zip(network(images), read(images), strict=True):
            scale = max(1.0, float(mine.abs().max()))
            found = float((theirs - mine).abs().max()) / scale
            worst = max(worst, found if found == found else float("inf"))  # a NaN is no agreement
    return Compared(worst, sum(_BATCHES))
