"""The batches that fit the images: in memory, or streamed."""

from collections.abc import Callable, Sequence
from typing import Any

from truelift.data.batches import Batches
from truelift.data.dataset import Images
from truelift.data.photographs import Photographs
from truelift.data.streamed import StreamedBatches

ImageBatches = Batches | StreamedBatches


def make_batches(images: Images, batch_size: int, **settings: Any) -> ImageBatches:
    """`StreamedBatches` of photographs, `Batches` of images in memory; the settings are those of both.

    Raises:
        InputError: As theirs.
    """
    build: Callable[..., ImageBatches] = StreamedBatches if isinstance(images, Photographs) else Batches
    return build(images, batch_size, **settings)


def growing_sides(parts: Sequence[int], epochs: int) -> tuple[int, ...]:
    """The side of the training images in each epoch: `parts` in equal parts of the epochs, the earlier the smaller.

    >>> growing_sides((128, 176, 224), 7)
    (128, 128, 128, 176, 176, 224, 224)
    """
    return tuple(parts[epoch * len(parts) // epochs] for epoch in range(epochs))
