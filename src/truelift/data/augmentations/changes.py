"""The further changes of an experiment, in order: built, drawn and checked. N images, K classes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from truelift.data.augmentations.base import Change, Stage
from truelift.errors import InputError
from truelift.own import is_import_path
from truelift.seeds import derive

# Of a row of shares' sum from 1: float32 over a thousand classes is closer.
_TOLERANCE = 1e-3


class Changes:
    """Changes by name, in the order in which they are made; those of pixels come before those of inputs.

    Args:
        named: Each with its name.
        classes: K.
    """

    def __init__(self, named: Sequence[tuple[str, Change]], classes: int) -> None:
        self._named = named
        self._classes = classes
        self._tried: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._named)

    def has(self, stage: Stage) -> bool:
        """Whether there is a change of this stage."""
        return any(change.stage == stage for _, change in self._named)

    def names(self, stage: Stage) -> str:
        """The names of the changes of this stage, for messages."""
        return ", ".join(name for name, change in self._named if change.stage == stage)

    def __call__(self, stage: Stage, images: Tensor, labels: Tensor, seed: int, *place: int) -> tuple[Tensor, Tensor]:
        """A batch after all changes of a stage.

        Args:
            stage: Which changes.
            images: (N, C, H, W); uint8 or float32 by `stage`. It may be changed in place.
            labels: int64 (N,) or float32 (N, K).
            seed: Of the augmentation.
            place: Of the batch: (epoch, batch number). Each change draws from (seed, *place, its name).

        Raises:
            InputError: A change gives images of another shape or type, or wrong labels.
        """
        for name, change in self._named:
            if change.stage == stage:
                generator = torch.Generator().manual_seed(derive(seed, *place, _without_folder(name)))
                changed = change(images, labels, generator)
                self._check(name, images, *changed)
                images = changed[0].contiguous(memory_format=torch.channels_last)
                labels = changed[1]
        return images, labels

    def _check(self, name: str, before: Tensor, images: Tensor, labels: Tensor) -> None:
        kept = images.shape == before.shape and images.dtype == before.dtype and images.device == before.device
        if not kept:
            raise InputError(
                f'augmentation "{name}" must give images as it gets them, {_told(before)}, got {_told(images)}.'
            )
        n, k = len(before), self._classes
        numbers = labels.shape == (n,) and labels.dtype == torch.int64
        shares = labels.shape == (n, k) and labels.dtype == torch.float32
        if not (numbers or shares) or labels.device != before.device:
            raise InputError(
                f'augmentation "{name}" must give labels, int64 ({n},) of 0..{k - 1} or float32 ({n}, {k}) of shares, '
                f"got {_told(labels)}."
            )
        if name in self._tried:  # values are looked at once: on a GPU that waits for the device
            return
        self._tried.add(name)
        if numbers:
            holds = bool(((labels >= 0) & (labels < k)).all())
        else:
            holds = bool((labels >= 0).all() and ((labels.sum(1) - 1).abs() <= _TOLERANCE).all())
        if not holds:
            rule = f"in 0..{k - 1}" if numbers else "shares of the classes, at least 0 and of sum 1"
            raise InputError(f'augmentation "{name}" must give labels {rule}.')


def _without_folder(name: str) -> str:
    """The name a change draws by: of a user's own file without its folder, so that the draws do not hang on it."""
    file, colon, inner = name.partition(":")
    return f"{Path(file).name}{colon}{inner}" if is_import_path(name) else name


def _told(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)} on {tensor.device}"
