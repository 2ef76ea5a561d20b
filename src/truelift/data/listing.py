"""Images that are known but not yet decoded, so that a subset is chosen before any work is done on its pixels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from truelift.errors import InputError

IntArray = npt.NDArray[np.int64]

Labels = npt.NDArray[np.integer[Any]]
"""Class numbers, int64 (N,); or of several labels an image uint8 (N, K), 1 where it has the class's label."""

Opener = Callable[[], Image.Image]
"""Opens one image when called; raises whatever the decoder raises on broken bytes."""


@dataclass(frozen=True)
class Listing:
    """One split's images, undecoded.

    Attributes:
        labels: int64 (N,), class numbers; or uint8 (N, K) of several labels an image.
        openers: Given ascending indices, yields the opener of each in that order. Ascending, so that a file is read
            from front to back and each of its parts only once.
        place: Says where image i lies, for messages.
        content: Gives bytes that change with the images (see `digest`); None where that cannot be known.
        files: The files that they lie in; empty where they are in memory.
        pixels: Given indices, what decoding these images gives, uint8 (N, H, W, C), where nothing needs to be decoded.
    """

    labels: Labels
    openers: Callable[[IntArray], Iterator[Opener]]
    place: Callable[[int], str]
    content: Callable[[], bytes] | None = None
    files: Callable[[], Sequence[str]] = tuple
    pixels: Callable[[IntArray], npt.NDArray[np.uint8]] | None = None

    def opener(self, index: int) -> Opener:
        """The opener of one image."""
        return next(self.openers(np.array([index])))


@dataclass(frozen=True)
class _Part:
    """Some images of a listing, by ascending indices there."""

    whole: Listing
    indices: IntArray

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        return self.whole.openers(self.indices[indices])

    def place(self, index: int) -> str:
        return self.whole.place(int(self.indices[index]))

    def content(self) -> bytes:
        assert self.whole.content is not None, "the caller has looked"
        return self.whole.content() + self.indices.tobytes()


def part_of(whole: Listing, indices: IntArray, labels: Labels) -> Listing:
    """Some images of a listing that lie in files.

    Args:
        whole: The listing.
        indices: Theirs in it, ascending.
        labels: Theirs, as of any listing.
    """
    part = _Part(whole, indices)
    return Listing(labels, part.openers, part.place, None if whole.content is None else part.content, whole.files)


@dataclass(frozen=True)
class Source:
    """A data set as it lies on disk; `validation` and `test` are None where it has none."""

    train: Listing
    validation: Listing | None
    test: Listing | None
    classes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Where images lie that belong to no class."""
    belongs: str = "in a class folder"
    """What these images are not: completes "an image must be …"."""
    unlabelled: Listing | None = None
    """A test set without labels, whose labels are all −1."""

    def __post_init__(self) -> None:
        """Checks the labels.

        Raises:
            InputError: A label is out of range, training has less than two classes, or another split has a class that
                training lacks.
        """
        for listing in (self.train, self.validation, self.test):
            if listing is not None:
                _check_range(listing, len(self.classes))
        labels = self.train.labels
        counts = labels.sum(axis=0) if self.several else np.bincount(strata(labels), minlength=len(self.classes))
        trained: npt.NDArray[np.bool_] = counts > 0
        if trained.sum() < 2:
            name = f'only "{self.classes[trained.argmax()]}"' if trained.any() else "none"
            raise InputError(f"classification needs at least two classes with training images, got {name}")
        for split, listing in (("validation", self.validation), ("test", self.test)):
            if listing is None:
                continue
            unknown = np.argwhere((listing.labels > 0) & ~trained if self.several else ~trained[listing.labels])
            if len(unknown):
                row = int(unknown[0, 0])
                name = self.classes[unknown[0, 1] if self.several else listing.labels[row]]
                raise InputError(f'{listing.place(row)}: the {split} class "{name}" has no training image')

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return self.train.labels.ndim == 2


MOST_UNNAMED_CLASSES = 100_000
"""Without class names the labels alone tell how many classes there are; above this, they are not class numbers."""


def number_names(train: Labels) -> tuple[str, ...]:
    """Classes named by their numbers, as many as the training labels tell.

    A label above the limit is then out of range, which `Source` refuses, before memory is taken for the names.
    """
    top = int(train.max(initial=-1))
    return tuple(map(str, range(min(top + 1, MOST_UNNAMED_CLASSES))))


def strata(labels: Labels) -> IntArray:
    """The strata of a split, int64 (N,): each image's class; one stratum where images have several labels."""
    return np.zeros(len(labels), dtype=np.int64) if labels.ndim == 2 else labels.astype(np.int64, copy=False)


def _check_range(listing: Listing, n_classes: int) -> None:
    if listing.labels.ndim == 2:
        assert listing.labels.shape[1] == n_classes, "a column for each class"
        return
    wrong = np.flatnonzero((listing.labels < 0) | (listing.labels >= n_classes))
    if len(wrong):
        row = int(wrong[0])
        got = listing.labels[row]
        raise InputError(
            f"{listing.place(row)}: a label must be in 0..{n_classes - 1} ({n_classes} classes), got {got}"
        )
