"""A trained network's predictions for image files. N images, K classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from truelift.data.pictures import Reader, Unreadable, find_pictures
from truelift.training.evaluation import EVALUATION_BATCH
from truelift.training.trained import Trained

# Decoded images at a time: of large ones fewer.
_PIXELS = 64 * 224 * 224


@dataclass(frozen=True)
class Choice:
    """One class and what the network gives it."""

    number: int
    name: str
    probability: float
    """In [0, 1]."""


@dataclass(frozen=True)
class Predicted:
    """What the network says of one image file."""

    file: str
    top: tuple[Choice, ...]
    """The classes with the largest probabilities, the largest first."""
    log_likelihood: float | None
    """Of the image's features, larger for one more like the training images; None where the head has no Gaussians."""


def predict_files(
    trained: Trained, places: Sequence[str | Path], *, top: int, fit: bool = False
) -> Iterator[Predicted | Unreadable]:
    """The predictions for files and for the images in folders, in their order; one that cannot be read says why.

    Args:
        trained: From `restore`.
        places: Files and folders.
        top: Classes to tell of each image, at least 1; at most all.
        fit: Bring images of another size to the network's.
    """
    _, height, width = trained.inputs.shape
    read = Reader(trained.inputs.shape, trained.experiment.data, fit)
    most = max(1, min(EVALUATION_BATCH, _PIXELS // (height * width)))
    waiting = iter(find_pictures(places))
    while chunk := list(islice(waiting, most)):
        found = [one if isinstance(one, Unreadable) else _read(read, one) for one in chunk]
        images = [image for image in found if isinstance(image, Tensor)]
        told = iter(_told(trained, torch.stack(images), top) if images else ())
        for place, one in zip(chunk, found, strict=True):
            if isinstance(one, Unreadable):
                yield one
            else:
                choices, likelihood = next(told)
                yield Predicted(str(place), choices, likelihood)


def _read(read: Reader, file: str) -> Tensor | Unreadable:
    image = read(file)
    return Unreadable(file, image) if isinstance(image, str) else image


def _told(trained: Trained, images: Tensor, top: int) -> Iterator[tuple[tuple[Choice, ...], float | None]]:
    names = trained.inputs.classes
    probabilities, likelihoods = trained(images.contiguous(memory_format=torch.channels_last))
    values, numbers = probabilities.topk(min(top, len(names)), dim=1)
    for i in range(len(images)):
        choices = zip(numbers[i].tolist(), values[i].tolist(), strict=True)
        yield (
            tuple(Choice(number, names[number], value) for number, value in choices),
            None if likelihoods is None else float(likelihoods[i]),
        )
