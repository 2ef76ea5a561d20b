"""The trackers by name. Their packages are imported when a run begins, not before."""

import importlib
import importlib.util
from functools import partial
from typing import Any

from truelift.errors import InputError
from truelift.options import Registry
from truelift.trackers.base import Start, Tracked, Tracker

_OURS = ("tensorboard", "wandb", "trackio", "mlflow")
"""Each has a module in this package, and needs the library of this name."""


def _start(name: str, tracked: Tracked) -> Tracker:
    started: Tracker = importlib.import_module(f"truelift.trackers.to_{name}").start(tracked)
    return started


TRACKERS: Registry[Any] = Registry("tracker", {"none": None, **{name: partial(_start, name) for name in _OURS}})
"""A `Start` by name; None where nothing is tracked."""


def check_tracker(name: str) -> Start | None:
    """The function that begins to track a run.

    Raises:
        InputError: The name is unknown, its library is not installed, or an import path names no function.
    """
    found: Start | None = TRACKERS.find(name)
    if name in _OURS and importlib.util.find_spec(name) is None:
        raise InputError(f"tracker {name} needs a package that is not installed: pip install {name}")
    return found
