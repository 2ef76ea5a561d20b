"""Checks of arrays that come from a file."""

from pathlib import Path

import numpy as np

from truelift.errors import InputError


def class_numbers(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """(N,) int64 from whole numbers of any width.

    Raises:
        InputError: It has another shape, another type, or a number below 0, or of 2³¹ or more.
    """
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"{path}: {name} must be whole numbers in one dimension, got {_told(array)}.")
    if len(array) and not (array.min() >= 0 and array.max() < 2**31):
        raise InputError(f"{path}: {name} must be class numbers from 0, got {array.min()} to {array.max()}.")
    return array.astype(np.int64)


def floats(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Float32 of any shape, from floating-point numbers of any width.

    Raises:
        InputError: It has another type.
    """
    if array.dtype.kind != "f":
        raise InputError(f"{path}: {name} must be floating-point numbers, got {_told(array)}.")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def finite(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The same, of finite numbers.

    Raises:
        InputError: It has another type, or a number in it is not finite.
    """
    array = floats(path, name, array)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {name} must be finite.")
    return array


def _told(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
