"""What runs on a node of a Ray cluster's: one run of a study, and a look at whether the node fits.

Neither imports Ray. A run is a process of its own below the task's, so that a GPU's memory is given back and nothing
that happens in it reaches the next. When the task's process is killed the run ends too, by the pipe between them.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from truelift import __version__
from truelift.errors import InputError
from truelift.studies.executors.base import Work, has_ended
from truelift.studies.executors.local import Local

_SEEN_SECONDS = 10.0
"""How late a shared disk may show what was written on another machine."""


def make(
    study: str,
    name: str,
    directory: str | None,
    job: str,
    threads: int,
    checkpoint_seconds: float,
    metric: str | None,
    retries: int,
) -> tuple[bool, str | None]:
    """Make one run, or go on with it.

    Args:
        study: The study's folder, absolute.
        name: The run's, as from there.
        directory: Where the run's process shall be; None: where Ray has put this one.
        job: Ray's number of it.
        threads: CPU threads.
        checkpoint_seconds: Time between checkpoints, at least 0.
        metric: The one that a program of the user's must give.
        retries: How often a run whose process was killed is tried again.

    Returns:
        Whether it has ended, with a result or a failure; and why it cannot be made on this node, None where it can.
    """
    folder = Path(study) / name
    if not wait_for(lambda: (folder / "config.toml").exists()):
        return False, _unseen(Path(study))
    try:
        if directory is not None:
            os.chdir(directory)
        os.environ["TRUELIFT_JOB"] = job
        here = Local(jobs=1, threads=threads, retries=retries, keep_server=True)
        for _ in here.run([folder], Work(Path(study), checkpoint_seconds, metric)):
            pass
    except (InputError, OSError) as error:
        return False, f"{_here()}: {error}"
    return has_ended(folder), None


def look(token: str, study: str, directory: str | None, version: str) -> str | None:
    """Why runs of a study cannot be made on this node; None where they can.

    Args:
        token: A file that was made for this beside the study's folder, or in it.
        study: The study's folder.
        directory: Where runs shall be, if that is said.
        version: Of truelift, where the command was given.
    """
    if version != __version__:
        return f"{_here()} has truelift {__version__}, and this machine {version}."
    if not wait_for(lambda: Path(token).exists()):
        return _unseen(Path(study))
    if directory is not None and not Path(directory).is_dir():
        return f"{_here()} has no folder {directory}, where this command was given: give --executor.working_dir."
    return None


def wait_for(holds: Callable[[], bool]) -> bool:
    """Wait for what a shared disk shows late; whether it came."""
    deadline = time.monotonic() + _SEEN_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _unseen(study: Path) -> str:
    return (
        f"the study's folder must be one that the nodes see too: {_here()} does not see {study}. "
        "Give --out on a disk that they share."
    )


def _here() -> str:
    return f"node {socket.gethostname()}"
