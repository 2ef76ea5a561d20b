"""A user's own data set, by import path: a function that gives the images.

It returns a dict of splits, "train" and where there are such "validation" and "test", each (images, labels), and
perhaps "classes", the name of each class; or a `Source`. Images are a uint8 array or tensor, (N, H, W), (N, H, W, C) or
(N, C, H, W) with C = 1 or 3; or a list, each item a PIL image, such an array or a file. Labels are class numbers.

    def stripes(n=1000):
        images = numpy.zeros((n, 8, 8), numpy.uint8)
        labels = numpy.arange(n) % 2
        images[labels == 1, ::2] = 255
        return {"train": (images, labels), "classes": ["black", "striped"]}
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from truelift.data.decode import Pixels
from truelift.data.digest import of_arrays, of_files
from truelift.data.image_formats import open_file
from truelift.data.listing import IntArray, Listing, Opener, Source, number_names
from truelift.errors import InputError, unknown_name
from truelift.own import call

KIND = "data set"
_SPLITS = ("train", "validation", "test")


def read_own(path: str, found: Any, args: Mapping[str, Any]) -> Source:
    """The images that a user's own function gives.

    Args:
        path: Its import path.
        found: The function.
        args: It is called with these.

    Raises:
        InputError: It does not take these args, raises, or what it gives are no images with labels.
    """
    given = call(KIND, path, found, args)
    if isinstance(given, Source):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f'{KIND} "{path}" must give a dict of splits or a Source, got {type(given).__name__}.')
    for name in given:
        if name not in (*_SPLITS, "classes"):
            raise unknown_name(f'part of {KIND} "{path}"', str(name), (*_SPLITS, "classes"))
    if given.get("train") is None:
        raise InputError(f'{KIND} "{path}" must give "train", got {", ".join(map(str, given)) or "nothing"}.')
    listings = {
        split: _listing(f'{KIND} "{path}", {split}', given[split]) for split in _SPLITS if given.get(split) is not None
    }
    train = listings["train"]
    names = given.get("classes")
    classes = number_names(train.labels) if names is None else _classes(f'{KIND} "{path}"', names)
    return Source(train, listings.get("validation"), listings.get("test"), classes)


@dataclass(frozen=True)
class _Own:
    """Images that a user's own function gave; a file is opened when it is wanted."""

    images: Sequence[Any]
    where: str

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        return (partial(_open, self.images[i]) for i in indices.tolist())

    def place(self, index: int) -> str:
        item = self.images[index]
        return str(item) if isinstance(item, str | Path) else f"{self.where} image {index}"

    def files(self) -> list[str]:
        """None where some images are in memory."""
        files = [str(item) for item in self.images if isinstance(item, str | Path)]
        return files if len(files) == len(self.images) else []

    def content(self) -> bytes:
        files = [str(item) for item in self.images if isinstance(item, str | Path)]
        arrays = [np.asarray(item) for item in self.images if not isinstance(item, str | Path)]
        return of_files(files) + of_arrays(arrays)


def _open(item: Any) -> Image.Image:
    if isinstance(item, str | Path):
        return open_file(item)
    return item.copy() if isinstance(item, Image.Image) else Image.fromarray(item)


def _listing(where: str, part: Any) -> Listing:
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise InputError(f"{where}: must be (images, labels), got {type(part).__name__}.")
    images, labels = _images(where, part[0]), _labels(where, part[1])
    if len(images) != len(labels):
        raise InputError(f"{where}: there must be a label for each image, got {len(images)} and {len(labels)}.")
    own = _Own(images, where)
    return Listing(labels, own.openers, own.place, own.content, own.files)


def _images(where: str, images: Any) -> Sequence[Any]:
    if isinstance(images, torch.Tensor | np.ndarray):
        array = _array(images)
        if array.ndim not in (3, 4):
            raise InputError(f"{where}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W), got {_shape(array)}.")
        return [*_channels_last(where, array)]
    if not isinstance(images, Sequence) or isinstance(images, str | bytes):
        raise InputError(f"{where}: images must be an array, a tensor or a list, got {type(images).__name__}.")
    return [_item(f"{where} image {number}", item) for number, item in enumerate(images)]


def _item(where: str, item: Any) -> Any:
    if isinstance(item, Image.Image):
        return item
    if isinstance(item, str | os.PathLike):
        return str(Path(item).expanduser().absolute())
    if isinstance(item, torch.Tensor | np.ndarray):
        array = _array(item)
        if array.ndim not in (2, 3):
            raise InputError(f"{where}: must be (H, W), (H, W, C) or (C, H, W), got {_shape(array)}.")
        return _channels_last(where, array[None])[0]
    raise InputError(f"{where}: must be a PIL image, an array or a file, got {type(item).__name__}.")


def _array(images: Any) -> np.ndarray[Any, np.dtype[Any]]:
    array: np.ndarray[Any, np.dtype[Any]] = (
        images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)
    )
    return array


def _channels_last(where: str, array: np.ndarray[Any, np.dtype[Any]]) -> Pixels:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W) or (N, H, W, 3), uint8."""
    if array.dtype != np.uint8:
        raise InputError(f"{where}: images must be uint8, 0 to 255, got {array.dtype}.")
    if 0 in array.shape[1:]:
        raise InputError(f"{where}: an image must have at least one pixel, got {_shape(array)}.")
    if array.ndim == 4:
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if first == last:
            rule = "only one of the two" if first else "one of the two"
            raise InputError(
                f"{where}: images must be (N, H, W, C) or (N, C, H, W), C = 1 or 3 in {rule}, got {_shape(array)}."
            )
        array = array.transpose(0, 2, 3, 1) if first else array
        array = array[..., 0] if array.shape[3] == 1 else array
    pixels: Pixels = np.ascontiguousarray(array)
    return pixels


def _labels(where: str, labels: Any) -> IntArray:
    try:
        array = _array(labels)
    except (TypeError, ValueError) as error:  # a ragged list
        raise InputError(f"{where}: labels cannot be read ({' '.join(str(error).split())}).") from error
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        raise InputError(f"{where}: labels must be class numbers, integers (N,), got {array.dtype} {_shape(array)}.")
    if len(array) and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{where}: a label must be below 2⁶³, got {array.max()}.")
    return array.astype(np.int64)


def _classes(where: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"{where}: classes must be a list of names, got {type(names).__name__}.")
    classes = tuple(map(str, names))
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise InputError(f'{where}: classes must have different names, got "{twice}" twice.')
    return classes


def _shape(array: np.ndarray[Any, np.dtype[Any]]) -> str:
    return str(tuple(map(int, array.shape)))
