"""A user's own change to training batches, by import path.

    def grey(images, generator, share=0.1): ...            # gives images; args.share
    def swap(images, labels, generator): ...               # gives images and labels
    class Noise:                                           # built once with args, then called so
        def __init__(self, sd=0.1): ...
        def __call__(self, images, generator): ...

Images come as the network takes them, float32 (N, C, H, W), or as pixels, uint8, where the function or object has an
attribute `stage = "pixels"`. All randomness must come from `generator`, so that a resumed training sees the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from truelift.data.augmentations.base import Stage
from truelift.errors import InputError
from truelift.own import blamed, call, parameters, refuse_unknown

_KIND = "augmentation"

# Of the sum of a row of shares from 1.
_TOLERANCE = 1e-3


class OwnChange:
    """A user's own change, held to the protocol."""

    def __init__(self, path: str, function: Callable[..., Any], args: Mapping[str, Any], classes: int) -> None:
        self.path = path
        self.stage: Stage = getattr(function, "stage", "inputs")
        if self.stage not in ("pixels", "inputs"):
            raise InputError(f'{_KIND} "{path}" must have the stage pixels or inputs, got {self.stage}.')
        self._function = function
        self._args = dict(args)
        self._classes = classes
        self._tried = False
        takes = parameters(function if not isinstance(function, type) else function.__call__)[0]
        self._takes = [name for name in ("images", "labels", "generator") if name in takes]

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the user's own gives, checked.

        Raises:
            InputError: It raises, or gives images or labels of another shape or type.
        """
        there = {"images": images, "labels": labels, "generator": generator}
        with blamed(_KIND, self.path):
            found = self._function(**{name: there[name] for name in self._takes}, **self._args)
        changed, of_classes = found if isinstance(found, tuple | list) and len(found) == 2 else (found, labels)
        self._check("images", changed, tuple(images.shape), images.dtype)
        if isinstance(of_classes, Tensor) and of_classes.is_floating_point():
            self._check("labels", of_classes, (len(images), self._classes), torch.float32)
        else:
            self._check("labels", of_classes, (len(images),), torch.int64)
        if not self._tried:  # values are looked at once: on a GPU that waits for the device
            self._check_values(of_classes)
            self._tried = True
        return changed.contiguous(memory_format=torch.channels_last), of_classes

    def _check_values(self, labels: Tensor) -> None:
        if labels.is_floating_point():
            holds = bool((labels >= 0).all() and ((labels.sum(1) - 1).abs() <= _TOLERANCE).all())
            rule = "shares of the classes, at least 0 and of sum 1 in each row"
        else:
            holds = bool(((labels >= 0) & (labels < self._classes)).all())
            rule = f"in 0..{self._classes - 1}"
        if not holds:
            raise InputError(f'{_KIND} "{self.path}" must give labels {rule}.')

    def _check(self, what: str, found: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        if not isinstance(found, Tensor) or tuple(found.shape) != shape or found.dtype != dtype:
            got = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f'{_KIND} "{self.path}" must give {what} of {dtype} {shape}, got {got}.')


def build(path: str, found: Callable[..., Any], args: Mapping[str, Any], classes: int) -> OwnChange:
    """The change that an import path names.

    Raises:
        InputError: It does not take these args, raises, or takes no images.
    """
    takes, takes_all = parameters(found)
    if not isinstance(found, type) and "images" in takes:
        if not takes_all:
            refuse_unknown(_KIND, path, args, [n for n in takes if n not in ("images", "labels", "generator")])
        return OwnChange(path, found, args, classes)
    made = call(_KIND, path, found, args, classes=classes)
    if not callable(made) or "images" not in parameters(made)[0]:
        raise InputError(f'{_KIND} "{path}" must give a function of images (and labels, generator), got {made!r}.')
    return OwnChange(path, made, {}, classes)
