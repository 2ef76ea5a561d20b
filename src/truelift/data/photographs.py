"""Photographs that stay encoded until they are wanted. N photographs, S the side of the square made of each."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from torch import Tensor

from truelift.data.crops import Choose, centre_box, cut
from truelift.data.decode import BRIGHT, SIDE, DecodeOptions, attempted, cannot_decode, require_bright
from truelift.data.listing import IntArray, Listing
from truelift.errors import require
from truelift.options import OPERATIONAL, SHARE_ABOVE_ZERO, Conflict, Only, at_least

# Photographs that the mean and the standard deviation are taken from.
_SAMPLE = 1000


@dataclass(frozen=True, kw_only=True)
class StreamOptions(DecodeOptions):
    """How photographs are decoded: all at once, or batch by batch."""

    stream: bool = False
    """Decode photographs batch by batch in other processes, not all at once into memory; with a random resized crop."""

    workers: Annotated[int | None, at_least(0, 4096), OPERATIONAL] = None
    """stream: processes that decode, 0 for none but the training's own. Default: the run's CPU threads."""

    evaluation_crop: Annotated[float, SHARE_ABOVE_ZERO, Only("stream", "true")] = 0.875
    """stream: the share of the shorter side that evaluation keeps, in (0, 1]; 0.875 is 224 of 256."""

    progressive: Annotated[tuple[int, ...] | None, SIDE] = None
    """The side of the training images in each equal part of the training, such as 128 176 224; evaluation is at their
    own size throughout, with stream at resize. Default: that size."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield "resize", not self.stream or self.resize is not None, "given with data.stream"
        yield "workers", self.workers is None or self.stream, "left out without data.stream"
        yield "progressive", self.progressive is None or 1 <= len(self.progressive) <= 1000, "1 to 1000 sides"


@dataclass(frozen=True)
class Photographs:
    """Some images of a listing, undecoded, with all that decoding them needs.

    Attributes:
        listing: Where they are.
        indices: int64 (N,), which of the listing's.
        labels: Class numbers, int64 (N,); or of several labels an image uint8 (N, K), 1 where it has the class's label.
        side: S, in evaluation and, where nothing else is said, in training.
        crop: Share of the shorter side that evaluation keeps, in (0, 1].
        skip: Whether one that cannot be decoded is passed over.
        workers: Processes that decode; 0: none but this one.
        damaged: Those that could not be decoded so far, by their number in the listing.
    """

    listing: Listing
    indices: IntArray
    labels: Tensor
    side: int
    crop: float
    skip: bool
    workers: int
    damaged: set[int] = field(default_factory=set, compare=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> torch.Size:
        """Of one image in evaluation, (C, H, W); always in colour, since only decoding tells which are gray."""
        return torch.Size((3, self.side, self.side))

    def subset(self, numbers: Tensor) -> "Photographs":
        """The photographs `numbers`, int64 (M,), in that order."""
        return replace(self, indices=self.indices[numbers.numpy()], labels=self.labels[numbers])

    def place(self, number: int) -> str:
        """Where a photograph lies."""
        return self.listing.place(int(self.indices[number]))

    def cut(self, number: int, choose: Choose, side: int) -> Tensor | str:
        """A box of a photograph, uint8 (side, side, 3); or why it cannot be decoded, where such are skipped.

        Raises:
            InputError: It cannot be decoded and is not to be skipped, or its file cannot be read.
        """
        opener = self.listing.opener(int(self.indices[number]))
        result = attempted(lambda: cut(opener, choose, side))
        if isinstance(result, str) and not self.skip:
            raise cannot_decode(self.place(number), result)
        return result

    def centre(self, number: int) -> Tensor | str:
        """A photograph as evaluation sees it, uint8 (S, S, 3), or as from `cut`."""
        return self.cut(number, lambda w, h: centre_box(w, h, self.crop), self.side)

    def histogram(self) -> Tensor:
        """How often each value occurs in each channel of up to 1,000 photographs, evenly from all; int64 (3, 256).

        A figure of the data alone: the same for every seed of a study that trains on the same photographs. 1,000 give
        each channel's mean to about 0.01, and all would have to be decoded once more.

        Raises:
            InputError: As `cut`, none can be decoded, or as `require_bright`.
        """
        numbers = torch.linspace(0, len(self) - 1, min(len(self), _SAMPLE)).round().long().tolist()
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for number in numbers:
            pixels = self.centre(number)
            if not isinstance(pixels, str):
                counts += torch.stack([channel.flatten().bincount(minlength=256) for channel in pixels.unbind(2)])
        require("the training images", "none", bool(counts.any()), "images that can be decoded, some at least")
        if not counts[:, BRIGHT:].any():
            require_bright(self.listing, self.indices)
        return counts


def find_photographs(listing: Listing, indices: IntArray, options: StreamOptions) -> Photographs:
    """The photographs `indices` of a listing, to be decoded as `options` say."""
    assert options.resize is not None, "checked where data is loaded"
    return Photographs(
        listing,
        indices,
        torch.from_numpy(listing.labels[indices]),
        side=options.resize,
        crop=options.evaluation_crop,
        skip=options.on_error == "skip",
        workers=torch.get_num_threads() if options.workers is None else options.workers,
    )
