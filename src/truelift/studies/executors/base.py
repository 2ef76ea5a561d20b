"""What runs a study's folders: this machine's processes, or a cluster's jobs.

A run is a folder that can be taken up by whoever comes next, and a lease says who has it. So an executor keeps nothing
of its own, and one may finish what another began.
"""

import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Work:
    """What is the same in all runs of a study."""

    study: Path
    """Its folder."""
    checkpoint_seconds: float = 30.0
    """Time between a run's checkpoints, at least 0."""
    metric: str | None = None
    """The one that a program of the user's must give."""
    tell: Callable[[str], None] = print
    """Told what a person who waits wants to know."""
    begun: Callable[[Path], None] = lambda folder: None
    """Told of each folder when its run begins here; where runs are made elsewhere, nobody is."""


def has_ended(folder: Path) -> bool:
    """Whether a run has, since it was made ready: what was there before is gone by then."""
    return any(os.path.lexists(folder / name) for name in ("result.json", "failure.json"))


class Executor(Protocol):
    """Starts runs, and tells which have ended."""

    @property
    def is_here(self) -> bool:
        """Whether runs are made by this command on this machine: data are looked at beforehand then."""
        ...

    def check(self, study: Path) -> None:
        """Look at what can be wrong, before anything is written.

        Raises:
            InputError: A setting is wrong, or the engine is not there.
        """
        ...

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """Run every folder's config.toml.

        Args:
            folders: Each with a config.toml when its turn comes. Where `is_here`, the next is asked for when there is
                room, and all that have ended were yielded: so it may depend on them.
            work: What is the same in all.

        Yields:
            Each folder whose run has ended, with result.json or failure.json in it, or neither where it was
            interrupted. What is left runs elsewhere, when the executor returns without waiting.
        """
        ...
