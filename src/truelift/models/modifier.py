"""Changes to a built network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from truelift.models.classifier import Classifier


@dataclass(frozen=True)
class Modifier:
    """A change that one option of `ModelOptions` makes to a built network."""

    option: str
    """The option's name. Its default changes nothing."""

    needs: str
    """The trait that a network must have (see `Family.traits`)."""

    apply: Callable[[Classifier, Any], None]
    """Called with the network and the option's value; changes the network in place."""

    draws: bool = False
    """Whether the changed blocks draw random numbers in training."""

    computes_again: bool = False
    """Whether blocks are computed twice in training, so that none may draw random numbers."""
