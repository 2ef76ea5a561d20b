"""What a family of networks tells of itself: its names, its options, and how one of it is checked and built."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

from truelift.errors import InputError
from truelift.models.classifier import Classifier
from truelift.options import at_least

MOST_CHANNELS = 8192
"""Of a network's first stage; above it a slip of the keyboard is likelier than a wish, and memory would run out."""


@dataclass(frozen=True, kw_only=True)
class WidthOptions:
    """The option that all networks share whose width is no part of their name."""

    width: Annotated[int | None, at_least(1, MOST_CHANNELS)] = None
    """Channels of the first stage (a bottleneck's end has four times as many); 16 in a CIFAR network, 32 in small-cnn,
    otherwise 64 (a VGG's first convolution). A DenseNet's growth: 12."""


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Of a family that has none."""


@dataclass(frozen=True)
class Family:
    """Networks that differ by numbers in their names."""

    pattern: str
    """A regular expression that a whole name matches; each of its groups is a number."""

    examples: tuple[str, ...]
    """Names of the usual ones: what a misspelt name is compared with."""

    options: type
    """A dataclass of the options of `ModelOptions` that these networks have, beside those of the modifiers."""

    check: Callable[..., None]
    """Called with the options and the numbers; refuses, without building anything, what `build` would refuse."""

    build: Callable[..., Classifier]
    """Called with the options, the numbers, and by name `classes` and `in_channels`."""

    traits: frozenset[str] = frozenset({"blocks"})
    """What else they have: "blocks" (an nn.Sequential of that name), "residual" (each of these has a `branch_end`),
    "published" (weights that others have published fit them)."""

    @property
    def option_names(self) -> frozenset[str]:
        """The names of the options."""
        return frozenset(field.name for field in fields(self.options))

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """The numbers in a name of the family; None for another family's."""
        match = re.fullmatch(self.pattern, name)
        return None if match is None else tuple(map(int, match.groups()))


def check_width(width: int) -> None:
    """Refuse a width below 1.

    Raises:
        InputError: It is.
    """
    if width < 1:
        raise InputError(f"model.width must be at least 1, got {width}")


def pick(given: Any, default: Any) -> Any:
    """What is given, or the default where that is None."""
    return default if given is None else given
