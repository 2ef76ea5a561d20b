"""A tracker that cannot stop a training."""

import contextlib
import getpass
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from truelift.errors import one_line
from truelift.trackers.base import Outcome, Start, Tracked, Tracker

_WAIT_SECONDS = 60.0


class Careful:
    """Tells a tracker of a run until it fails; then it says so once, and tells it no more.

    Args:
        name: The tracker's, for the warning.
        start: Begins it; None for no tracker at all.
        tracked: The run.
    """

    def __init__(self, name: str, start: Start | None, tracked: Tracked) -> None:
        self.name = name
        self._tracker: Tracker | None = None
        self._curves: set[str] = set()
        if start is not None:
            self._tracker = self._tried(lambda: _started(start, tracked))

    def line(self, line: Mapping[str, Any]) -> None:
        """A line of metrics: its numbers but the step."""
        self._log({name: float(value) for name, value in line.items() if _is_curve(name, value)}, line["step"])

    def result(self, metrics: Mapping[str, float], steps: int) -> None:
        """A run's metrics when it is done, those that no curve has."""
        self._log({name: float(value) for name, value in metrics.items() if name not in self._curves}, steps)

    def end(self, outcome: Outcome) -> None:
        """The run has ended."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            self._tried(lambda: tracker.end(outcome))

    def _log(self, numbers: dict[str, float], step: int) -> None:
        tracker = self._tracker
        if tracker is None or not numbers:
            return
        self._curves |= numbers.keys()
        self._tried(lambda: tracker.log(numbers, step))

    def _tried(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (Exception, SystemExit) as error:  # a library may raise anything, or mean to end a script
            self._tracker = None
            print(
                f"truelift: tracker {self.name} has failed and is told no more: {type(error).__name__}: "
                f"{one_line(error).rstrip('.')}. The training goes on, and its records are whole.",
                file=sys.stderr,
                flush=True,
            )
            return None


def _started(start: Start, tracked: Tracked) -> Tracker:
    """Begin, one process at a time: several that make one project or database at once are in each other's way.

    The first ones make it; who has waited for a minute begins beside the others.
    """
    # A file of each user's: of another's in a folder for all, Linux may let nobody open it.
    name = f"truelift-tracker-{os.getuid() if hasattr(os, 'getuid') else getpass.getuser()}.lock"
    lock = FileLock(Path(tempfile.gettempdir()) / name, timeout=_WAIT_SECONDS)
    with contextlib.suppress(Timeout):  # of many that wait, some begin all the same
        lock.acquire()
    try:
        return start(tracked)
    finally:
        lock.release()  # which does nothing where it is not held


def _is_curve(name: str, value: Any) -> bool:
    return name != "step" and isinstance(value, int | float) and not isinstance(value, bool)
