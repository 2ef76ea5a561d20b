"""Families of networks: their names, their options, and how one is checked and built."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

from truelift.models.classifier import Classifier
from truelift.options import at_least

MOST_CHANNELS = 8192
"""Of a network's first stage. Above it a typing error is likelier, and memory would run out."""


@dataclass(frozen=True, kw_only=True)
class WidthOptions:
    """The option of all networks whose names do not tell their width."""

    width: Annotated[int | None, at_least(1, MOST_CHANNELS)] = None
    """Channels of the first stage (a bottleneck's end has four times as many); 16 in a CIFAR network, 32 in small-cnn,
    otherwise 64 (a VGG's first convolution). A DenseNet's growth: 12."""


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Those of a family without any."""


@dataclass(frozen=True)
class Family:
    """Networks that differ by numbers in their names."""

    pattern: str
    """A regular expression that a whole name matches; each of its groups is a number."""

    examples: tuple[str, ...]
    """The usual names, with which a misspelt one is compared."""

    options: type
    """A dataclass of the options of `ModelOptions` that these networks have, beside those of the modifiers."""

    check: Callable[..., None]
    """Called with the options and the numbers; refuses, without building anything, what `build` would refuse."""

    build: Callable[..., Classifier]
    """Called with the options, the numbers, and by name `classes` and `in_channels`."""

    traits: frozenset[str] = frozenset({"blocks"})
    """What the networks have: "blocks" (an nn.Sequential of that name), "residual" (each of these has a `branch_end`),
    "published" (weights that others have published fit them)."""

    @property
    def option_names(self) -> frozenset[str]:
        """The names of the options."""
        return frozenset(field.name for field in fields(self.options))

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """The numbers in a name of the family; None for another family's."""
        match = re.fullmatch(self.pattern, name)
        return None if match is None else tuple(map(int, match.groups()))


def pick(given: Any, default: Any) -> Any:
    """What is given, or the default where that is None."""
    return default if given is None else given
