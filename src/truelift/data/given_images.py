"""Images as a user's own code gives them: PIL images, arrays, tensors and files, taken up or refused."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from truelift.data.decode import Pixels
from truelift.data.image_formats import open_file
from truelift.errors import InputError


def images_of(where: str, images: Any) -> Sequence[Any]:
    """Each as `image_of` has it, of an array, a tensor or a list.

    Raises:
        InputError: They are none of these.
    """
    if isinstance(images, torch.Tensor | np.ndarray):
        array = array_of(images)
        if array.ndim not in (3, 4):
            raise InputError(f"{where}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W), got {array.shape}.")
        return [*_channels_last(where, array)]
    if not isinstance(images, Sequence) or isinstance(images, str | bytes):
        raise InputError(f"{where}: images must be an array, a tensor or a list, got {type(images).__name__}.")
    return [image_of(f"{where} image {number}", item) for number, item in enumerate(images)]


def image_of(where: str, item: Any) -> Any:
    """A PIL image, a uint8 array (H, W) or (H, W, 3), or a file's whole name.

    Args:
        where: What it is, for messages.
        item: A PIL image, an array, a tensor or a file.

    Raises:
        InputError: It is none of these, or of another shape or type of numbers.
    """
    if isinstance(item, Image.Image):
        return item
    if isinstance(item, str | os.PathLike):
        return str(Path(item).expanduser().absolute())
    if isinstance(item, torch.Tensor | np.ndarray):
        array = array_of(item)
        if array.ndim not in (2, 3):
            raise InputError(f"{where}: must be (H, W), (H, W, C) or (C, H, W), got {array.shape}.")
        return _channels_last(where, array[None])[0]
    raise InputError(f"{where}: must be a PIL image, an array or a file, got {type(item).__name__}.")


def open_item(item: Any) -> Image.Image:
    """An image that `image_of` gave, as a PIL image that may be changed."""
    if isinstance(item, str):
        return open_file(item)
    return item.copy() if isinstance(item, Image.Image) else Image.fromarray(item)


def array_of(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """An array of what is a tensor, an array or a list."""
    array: np.ndarray[Any, np.dtype[Any]] = (
        values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    )
    return array


def _channels_last(where: str, array: np.ndarray[Any, np.dtype[Any]]) -> Pixels:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W) or (N, H, W, 3), uint8."""
    if array.dtype != np.uint8:
        raise InputError(f"{where}: images must be uint8, 0 to 255, got {array.dtype}.")
    if 0 in array.shape[1:]:
        raise InputError(f"{where}: an image must have at least one pixel, got {array.shape}.")
    if array.ndim == 4:
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if first == last:
            rule = "only one of the two" if first else "one of the two"
            raise InputError(
                f"{where}: images must be (N, H, W, C) or (N, C, H, W), C = 1 or 3 in {rule}, got {array.shape}."
            )
        array = array.transpose(0, 2, 3, 1) if first else array
        array = array[..., 0] if array.shape[3] == 1 else array
    pixels: Pixels = np.ascontiguousarray(array)
    return pixels
