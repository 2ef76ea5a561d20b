"""What a tracker is told, and what it must be able to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Outcome = Literal["done", "failed", "stopped"]
"""How a run has ended; a stopped one goes on later."""


@dataclass(frozen=True)
class Tracked:
    """A run that is tracked."""

    study: str
    """The study's name; of a training by itself "train"."""
    variant: str
    seed: int
    settings: Mapping[str, Any]
    """What differs from the defaults, by dotted name."""
    fingerprint: str
    """Of the settings."""
    folder: Path
    """The run's, absolute."""
    home: Path
    """The study's folder; of a training by itself the run's."""
    from_step: int
    """Steps made when it begins; above 0 where it goes on."""

    @property
    def name(self) -> str:
        """Variant and seed."""
        return f"{self.variant}/seed-{self.seed}"

    @property
    def config(self) -> dict[str, Any]:
        """What the tracker is to know of the run; `variant` and `seed` are what `truelift judge` looks for."""
        return {**self.settings, "variant": self.variant, "seed": self.seed, "study": self.study}


class Tracker(Protocol):
    """Told of a run's numbers."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Take numbers by name after so many steps. Where a run goes on, steps come again, and say the same."""
        ...

    def end(self, outcome: Outcome) -> None:
        """Send what is left; nothing comes after it."""
        ...


Start = Callable[[Tracked], Tracker]
"""Begins to track a run, or goes on with it."""
