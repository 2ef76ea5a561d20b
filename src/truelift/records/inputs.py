"""What a run's network takes and tells: the images' shape, the figures that normalise them, and the classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from truelift.errors import InputError, one_line
from truelift.records.files import read_bytes, write_json

MOST_BYTES = 2**24
_MOST = 1_000_000

_Side = Annotated[int, Meta(ge=1, le=_MOST)]


class _Form(Struct):
    classes: Annotated[list[str], Meta(min_length=2)]
    shape: Annotated[list[_Side], Meta(min_length=3, max_length=3)]
    mean: Annotated[list[float], Meta(min_length=1)]
    std: Annotated[list[Annotated[float, Meta(gt=0)]], Meta(min_length=1)]
    several_labels: bool | None = None


@dataclass(frozen=True)
class Inputs:
    """What a run's network takes and tells; the content of inputs.json.

    C channels, H rows, W columns.
    """

    classes: tuple[str, ...]
    """The name of each class, by class number."""
    shape: tuple[int, int, int]
    """Of an image in evaluation, (C, H, W)."""
    mean: tuple[float, ...]
    """Of each channel over the training images, in [0, 1]."""
    std: tuple[float, ...]
    """The standard deviation of each channel, in the same unit, above 0."""
    several: bool | None = None
    """Whether an image may have several labels; None in a file of an earlier version, which does not say."""

    def write(self, folder: Path) -> None:
        """Write inputs.json, whole or not at all."""
        content = {"classes": list(self.classes), "shape": list(self.shape)}
        content |= {"mean": list(self.mean), "std": list(self.std)}
        write_json(folder / "inputs.json", content | {"several_labels": self.several})

    @classmethod
    def read(cls, folder: Path) -> "Inputs":
        """Read what `write` wrote.

        Raises:
            InputError: It is missing or damaged.
        """
        path = folder / "inputs.json"
        content = read_bytes(path, MOST_BYTES)
        try:
            found = msgspec.json.decode(content, type=_Form)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise InputError(f"{path} is damaged: {one_line(error)}.") from None
        channels, height, width = found.shape
        if not len(found.mean) == len(found.std) == channels:
            raise InputError(f"{path} is damaged: mean and std must have {channels} numbers, one a channel.")
        mean, std = tuple(found.mean), tuple(found.std)
        return cls(tuple(found.classes), (channels, height, width), mean, std, found.several_labels)
