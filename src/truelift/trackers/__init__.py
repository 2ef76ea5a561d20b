"""Where curves are sent beside a run's own records: TensorBoard, Weights & Biases, trackio, MLflow, or a user's own.

A tracker is a function from a `Tracked` run to an object with `log` and `end` (`base.py`). It may fail at any time: the
training goes on without it.
"""

from truelift.trackers.base import Outcome, Start, Tracked, Tracker
from truelift.trackers.careful import Careful
from truelift.trackers.choice import TRACKERS, check_tracker

__all__ = ["TRACKERS", "Careful", "Outcome", "Start", "Tracked", "Tracker", "check_tracker"]
