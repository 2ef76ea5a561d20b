"""What is done with a trained network, and what it adds to the run's result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from truelift.data import Splits
from truelift.records import Predictions

if TYPE_CHECKING:  # its settings name what is here
    from truelift.training.build import Training


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
