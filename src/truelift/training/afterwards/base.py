"""What is done with a trained network, and what it adds to the run's result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from truelift.data import Splits
from truelift.errors import InputError
from truelift.records import Predictions

if TYPE_CHECKING:  # its settings name what is here
    from truelift.training.parts import Training


class Record(Protocol):
    """What can be written into a run's folder."""

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        ...


@dataclass(frozen=True)
class End:
    """A training at its end, and what is known of it."""

    training: "Training"
    splits: Splits
    predictions: dict[str, Predictions]
    """What the run is judged by, for each held-out split."""
    metrics: dict[str, float] = field(default_factory=dict)
    files: dict[str, Record] = field(default_factory=dict)
    """To be written into the run's folder, by name."""


Afterwards = Callable[[End], End]
"""Adds metrics or files, or puts other predictions in place of the head's."""


def require_every_class(splits: Splits, option: str) -> None:
    """Refuse training images without any of some class, before a training that would end in vain.

    Raises:
        InputError: There are such classes.
    """
    counts = splits.train.labels.bincount(minlength=len(splits.classes))
    missing = [name for name, count in zip(splits.classes, counts.tolist(), strict=True) if not count]
    if missing:
        raise InputError(
            f"{option} needs training images of every class, got none of {len(missing)} of {len(splits.classes)}: "
            f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}."
        )
