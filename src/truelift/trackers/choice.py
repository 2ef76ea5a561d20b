"""The trackers by name. Their packages are imported when a run begins, not before."""

import importlib
import importlib.util
from typing import Any

from truelift.errors import InputError
from truelift.options import Registry
from truelift.trackers.base import Start, Tracked, Tracker


class Known:
    """A tracker of ours, imported when it starts.

    Args:
        name: Of the module in this package, and of the library that it needs.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, tracked: Tracked) -> Tracker:
        """Begin to track a run."""
        started: Tracker = importlib.import_module(f"truelift.trackers.to_{self.name}").start(tracked)
        return started

    def check(self) -> None:
        """Refuse it where its library is not installed.

        Raises:
            InputError: It is not.
        """
        if importlib.util.find_spec(self.name) is None:
            raise InputError(f"tracker {self.name} needs a package that is not installed: pip install {self.name}")


TRACKERS: Registry[Any] = Registry(
    "tracker", {"none": None, **{name: Known(name) for name in ("tensorboard", "wandb", "trackio", "mlflow")}}
)
"""A `Start` by name; None where nothing is tracked."""


def check_tracker(name: str) -> Start | None:
    """What begins to track a run.

    Raises:
        InputError: The name is unknown, its library is not installed, or an import path names no function.
    """
    found: Start | None = TRACKERS.find(name)
    if isinstance(found, Known):
        found.check()
    return found
