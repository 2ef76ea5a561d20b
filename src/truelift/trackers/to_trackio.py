"""trackio: a project a study, a group a variant, on this machine unless its environment variables say otherwise."""

from collections.abc import Mapping

import trackio

from truelift.trackers.base import Outcome, Tracked


class Trackio:
    """A run that goes on under the same name, which has the settings' fingerprint."""

    def __init__(self, tracked: Tracked) -> None:
        self.run = trackio.init(
            project=tracked.study,
            group=tracked.variant,
            name=f"{tracked.variant}-seed-{tracked.seed}-{tracked.fingerprint}",
            config=tracked.config,
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Log under the step of the training."""
        self.run.log(dict(numbers), step=step)

    def end(self, outcome: Outcome) -> None:
        """Send what is left; trackio knows no outcome."""
        self.run.finish()


start = Trackio
