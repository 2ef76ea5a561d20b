"""A user's own change to the training images, by import path.

A function of `images`, and of what it wants of `labels` and `generator`; or a class, or a function that does not take
`images`, which gives such a callable and may take `classes`, `image_shape` and `fill`. It returns images, or (images,
labels). By an attribute `stage` = "inputs" it is called after normalisation.

    def noise(images, generator, most=20):
        drawn = torch.randint(-most, most + 1, images.shape, generator=generator).to(images.device)
        return (images.int() + drawn).clamp(0, 255).byte()
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from truelift.data.augmentations.base import Around, Stage
from truelift.errors import InputError
from truelift.own import call, parameters

KIND = "augmentation"


class OwnChange:
    """A user's own change, held to the protocol.

    Args:
        path: Its import path, for messages.
        function: Called with what it takes of images, labels and generator.
        args: And with these.
    """

    def __init__(self, path: str, function: Callable[..., Any], args: Mapping[str, Any]) -> None:
        takes, takes_all = parameters(function)
        if "images" not in takes and not takes_all:
            told = ", ".join(takes) or "nothing"
            raise InputError(
                f'{KIND} "{path}" must take images, and what it wants of labels and generator; it takes {told}.'
            )
        self.path = path
        self.stage: Stage = getattr(function, "stage", "pixels")
        if self.stage not in get_args(Stage):
            raise InputError(f'{KIND} "{path}": stage must be pixels or inputs, got {self.stage}.')
        self._function = function
        self._args = args

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the user's own gives, with the labels as they were where it gives images alone.

        Raises:
            InputError: It raises, or gives neither images nor (images, labels).
        """
        given = call(KIND, self.path, self._function, self._args, images=images, labels=labels, generator=generator)
        if isinstance(given, Tensor):
            return given, labels
        if isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, Tensor) for part in given):
            return given
        raise InputError(f'{KIND} "{self.path}" must return images, or (images, labels), got {type(given).__name__}.')


def build(path: str, found: Callable[..., Any], args: Mapping[str, Any], around: Around) -> OwnChange:
    """The change that an import path names.

    Raises:
        InputError: It does not take these args, raises, or is or gives nothing that takes images.
    """
    if not inspect.isclass(found) and "images" in parameters(found)[0]:
        return OwnChange(path, found, args)
    there = {"classes": around.classes, "image_shape": around.image_shape, "fill": around.fill}
    made = call(KIND, path, found, args, **there)
    if not callable(made):
        raise InputError(f'{KIND} "{path}" must give something that can be called, got {type(made).__name__}.')
    return OwnChange(path, made, {})
