"""The batches that fit the images: in memory, or streamed."""

from collections.abc import Callable, Sequence

import torch

from truelift.data.augmentations import AugmentationOptions, Changes
from truelift.data.augmentations.base import NO_CHANGES
from truelift.data.batches import Batches
from truelift.data.dataset import Images
from truelift.data.order import WHOLE, Sampling, Share
from truelift.data.photographs import Photographs
from truelift.data.preprocessing import Preprocess
from truelift.data.streamed import StreamedBatches

ImageBatches = Batches | StreamedBatches


def make_batches(
    images: Images,
    batch_size: int,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    preprocess: Preprocess | None = None,
    order_seed: int | None = None,
    augmentation: AugmentationOptions | None = None,
    augment_seed: int | None = None,
    sides: Sequence[int] = (),
    device: torch.device | str = "cpu",
    share: Share = WHOLE,
    changes: Changes = NO_CHANGES,
    sampling: Sampling = "shuffle",
) -> ImageBatches:
    """`StreamedBatches` of photographs, `Batches` of images in memory.

    Raises:
        InputError: As theirs.
    """
    streamed = isinstance(images, Photographs)
    build: Callable[..., ImageBatches] = StreamedBatches if streamed else Batches
    return build(
        images,
        batch_size,
        mean=mean,
        std=std,
        preprocess=preprocess,
        order_seed=order_seed,
        augmentation=augmentation,
        augment_seed=augment_seed,
        device=device,
        sides=sides,
        share=share,
        changes=changes,
        sampling=sampling,
    )


def growing_sides(parts: Sequence[int], epochs: int) -> tuple[int, ...]:
    """The side of the training images in each epoch: `parts` in equal parts of the epochs, the earlier the smaller.

    >>> growing_sides((128, 176, 224), 7)
    (128, 128, 128, 176, 176, 224, 224)
    """
    return tuple(parts[epoch * len(parts) // epochs] for epoch in range(epochs))
