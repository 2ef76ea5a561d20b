"""Weights & Biases: a project a study, a group a variant. WANDB_MODE=offline keeps it on this machine."""

import hashlib
import os
from collections.abc import Mapping

import wandb

from truelift.trackers.base import Outcome, Tracked

_EXIT = {"done": 0, "failed": 1, "stopped": 143}


class WeightsAndBiases:
    """A run that goes on under the same id."""

    def __init__(self, tracked: Tracked) -> None:
        identity = f"{tracked.folder} {tracked.fingerprint}"
        self.run = wandb.init(
            project=tracked.study,
            group=tracked.variant,
            name=tracked.name,
            id=hashlib.sha256(identity.encode()).hexdigest()[:16],
            resume=None if os.environ.get("WANDB_MODE") == "offline" else "allow",
            config=tracked.config,
            dir=None if "WANDB_DIR" in os.environ else str(tracked.home),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Log under the step of the training."""
        self.run.log(dict(numbers), step=step)

    def end(self, outcome: Outcome) -> None:
        """Finish with the exit status that stands for the outcome."""
        self.run.finish(exit_code=_EXIT[outcome])


start = WeightsAndBiases
