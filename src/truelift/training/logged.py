"""What a user's own part has written into the lines of metrics: names and numbers that cannot harm them."""

import math
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from truelift.errors import InputError

OF_THE_LOOP = frozenset({"kind", "step", "epoch", "train_loss", "train_error", "images_per_second", "skipped_steps"})
"""Names in a training's lines of metrics that are the loop's."""


def check_names(kind: str, path: str, logged: Any, taken: Collection[str] = ()) -> None:
    """Hold what a part logs to be a dictionary by names of its own.

    Args:
        kind: What the part is, for messages: "policy".
        path: Its import path.
        logged: What it gave.
        taken: Further names that are not its own.

    Raises:
        InputError: It is not.
    """
    if not isinstance(logged, Mapping) or not all(isinstance(name, str) for name in logged):
        raise InputError(f'{kind} "{path}" must log numbers by name, as a dictionary, got {_told(logged)}.')
    for name in logged:
        if name in OF_THE_LOOP or name in taken:
            raise InputError(f'{kind} "{path}" must log under names of its own, got {name}, which is the training\'s.')


def number(kind: str, path: str, name: str, value: Any) -> float:
    """A number that a part logs; one on a device is waited for.

    Raises:
        InputError: It is not one real, finite number.
    """
    found = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if not isinstance(found, Real) or not math.isfinite(found):
        raise InputError(f'{kind} "{path}" must log finite real numbers, got {name}: {_told(value)}.')
    return int(found) if isinstance(found, Integral) else float(found)


def scalar(kind: str, path: str, name: str, value: Any, device: torch.device) -> Tensor:
    """A number that a part logs at every step, as a tensor without shape; nothing is waited for.

    Whether it is finite is seen when a line is due.

    Raises:
        InputError: It is not one real number.
    """
    if isinstance(value, Real):
        return torch.tensor(float(value), device=device)
    if not isinstance(value, Tensor) or value.numel() != 1 or value.is_complex():
        raise InputError(f'{kind} "{path}" must log real numbers, one a name, got {name}: {_told(value)}.')
    one = value.detach().reshape(())
    return one if one.is_floating_point() else one.float()


def _told(value: Any) -> str:
    if isinstance(value, Tensor) and value.numel() != 1:
        return f"a tensor of shape {tuple(value.shape)}"
    return str(value) if isinstance(value, Real | Tensor) else type(value).__name__
