"""A user's images, as the evaluation of a trained network sees them. C channels, H rows, W columns."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from truelift.data.crops import centre_box, cut_out
from truelift.data.decode import Pixels, as_rgb, attempt, to_array, upright_size
from truelift.data.files import walk
from truelift.data.image_files import is_image
from truelift.data.image_formats import open_file
from truelift.data.options import DataOptions


@dataclass(frozen=True)
class Unreadable:
    """A file that gives no image, and why."""

    path: str
    reason: str


def find_pictures(places: Sequence[str | Path]) -> Iterator[str | Unreadable]:
    """The image files among files and folders, in the order given, a folder's sorted.

    A file that is named is taken whatever its ending; of a folder all files at any depth that end like images, but for
    hidden ones.
    """
    for place in map(Path, places):
        if not os.path.lexists(place):
            yield Unreadable(str(place), "there is no such file or folder")
        elif place.is_dir():
            try:
                found = sorted(str(file) for file in walk(place) if is_image(file))
            except OSError as error:
                yield Unreadable(str(place), f"cannot be read ({error.strerror})")
                continue
            if not found:
                yield Unreadable(str(place), "no image in this folder")
            yield from found
        else:
            yield str(place)


@dataclass(frozen=True)
class Reader:
    """Reads an image file as the evaluation of a network does: decoded, resized and cropped as its data were.

    Args:
        shape: Of an image as the network takes it, (C, H, W).
        options: Of the data it was trained on: `resize`, `stream`, `evaluation_crop`.
        fit: Bring an image of another size to the network's, where the data's own options do not: the shorter side is
            resized, and the centre square kept.
    """

    shape: tuple[int, int, int]
    options: DataOptions
    fit: bool = False

    def __call__(self, file: str | Path) -> Tensor | str:
        """The image, uint8 (C, H, W), or the reason why there is none. An image of other colours is made to fit."""
        result = attempt(partial(open_file, file), self._convert)
        if isinstance(result, str):
            return result
        pixels = _with_channels(result, self.shape[0])
        _, height, width = self.shape
        if pixels.shape[:2] != (height, width):
            return (
                f"{pixels.shape[1]}x{pixels.shape[0]} pixels (width x height), and the network takes {width}x{height}"
                + (": --fit resizes and crops it" if height == width and not self.fit else "")
            )
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)  # a copy: that of Pillow cannot be written to

    def _convert(self, image: Image.Image) -> Pixels:
        _, height, width = self.shape
        if self.options.stream:
            crop = self.options.evaluation_crop
            array: Pixels = cut_out(image, lambda w, h: centre_box(w, h, crop), height).numpy()
            return array
        resize = self.options.resize
        if resize is None and self.fit and height == width and upright_size(image) != (width, height):
            resize = height
        return to_array(image, resize)


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    """(H, W, C') as (H, W, C): gray repeated as in training, colours as their luma."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return as_rgb(pixels)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
