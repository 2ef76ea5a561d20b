"""What runs a study's folders: this machine's processes, or a cluster's jobs or tasks.

A run is a folder that can be taken up by whoever comes next, and a lease says who has it. So an executor keeps nothing
of its own, and one may finish what another began.
"""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
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
    one_by_one: bool = False
    """Whether which run is next depends on those that have ended: a study until decided."""


def has_ended(folder: Path) -> bool:
    """Whether a run has, since it was made ready: what was there before is gone by then."""
    if os.path.lexists(os.path.join(folder, "failure.json")):
        return True
    if not os.path.lexists(os.path.join(folder, "result.json")):
        return False
    from truelift.records.own_result import is_of_program  # here, since a study's first line waits for no numpy

    return not is_of_program(folder)


class Executor(Protocol):
    """Starts runs, and tells which have ended."""

    def check(self, study: Path, *, one_by_one: bool = False) -> None:
        """Look at what can be wrong, before anything is written.

        Args:
            study: The study's folder.
            one_by_one: As `Work` has it.

        Raises:
            InputError: A setting is wrong, the engine is not there, or it runs no such study.
        """
        ...

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """Run every folder's config.toml.

        Args:
            folders: Each with a config.toml when its turn comes. Where this machine makes the runs, or where the work
                is one by one, the next is asked for when there is room, and all that have ended were yielded: so it may
                depend on them.
            work: What is the same in all.

        Yields:
            Each folder whose run has ended, with result.json or failure.json in it, or neither where it was
            interrupted. What is left runs elsewhere, when the executor returns without waiting.
        """
        ...


class Cluster(Executor, Protocol):
    """Has runs made elsewhere."""

    @property
    def waits(self) -> bool:
        """Whether `run` returns only when all runs have ended."""
        ...

    def shown(self, folders: Sequence[Path], work: Work) -> str:
        """What would be handed over for these runs, to be read, with line ends."""
        ...
