"""What a change to a training batch is given, checked. N images, C channels, H×W pixels, K classes."""

import torch
from torch import Tensor

from truelift.errors import InputError, require
from truelift.techniques.devices import answers_at_once


def check_batch(images: Tensor, generator: torch.Generator) -> None:
    """Refuse what is no batch of images, of whatever type, with a generator on the CPU.

    Args:
        images: (N, C, H, W).
        generator: On the CPU.

    Raises:
        InputError: An argument is something else.
    """
    _check_tensor("images", images)
    require("images", tuple(images.shape), images.ndim == 4, "of the shape (N, C, H, W)")
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        given = generator.device if isinstance(generator, torch.Generator) else type(generator).__name__
        raise InputError(f"generator must be a torch.Generator on the CPU, got {given}.")


def check_floating(images: Tensor) -> None:
    """Refuse images that are not of floating point.

    Raises:
        InputError: They are not.
    """
    require("images", _name(images.dtype), images.is_floating_point(), "of floating point, as after normalisation")


def check_bytes(images: Tensor) -> None:
    """Refuse images that are not of 8 bits.

    Raises:
        InputError: They are not.
    """
    require("images", _name(images.dtype), images.dtype == torch.uint8, "of type uint8, before normalisation")


def check_count(labels: Tensor, images: Tensor) -> None:
    """Refuse labels that are not one entry or row for each of N images.

    Raises:
        InputError: They are not.
    """
    _check_tensor("labels", labels)
    holds = labels.ndim > 0 and len(labels) == len(images)
    require("labels", tuple(labels.shape), holds, f"as many as images, {len(images)}")


def check_labels(labels: Tensor, classes: int) -> None:
    """Refuse what are neither class numbers, int64 (N,), nor shares of the classes, floating point (N, K).

    Numbers out of range are found where the device answers at once: elsewhere it would have to be waited for.

    Raises:
        InputError: They are neither, or out of range.
    """
    _check_tensor("labels", labels)
    kind = f"{_name(labels.dtype)} {tuple(labels.shape)}"
    shares = labels.is_floating_point() and labels.ndim == 2 and labels.shape[1] == classes
    numbers = labels.dtype == torch.int64 and labels.ndim == 1
    rule = f"class numbers, int64 (N,), or shares of the {classes} classes, of floating point (N, {classes})"
    require("labels", kind, shares or numbers, rule)
    if numbers and len(labels) and answers_at_once(labels.device) and not torch.compiler.is_compiling():
        outside = labels[(labels < 0) | (labels >= classes)]
        if len(outside):
            raise InputError(f"labels must be in 0..{classes - 1}, got {int(outside[0])}.")


def _check_tensor(name: str, value: object) -> None:
    require(name, type(value).__name__, isinstance(value, Tensor), "a tensor")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
