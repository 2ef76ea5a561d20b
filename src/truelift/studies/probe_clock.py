"""Looks at the clock before each step of a probe, and ends it after enough of them.

It imports the training, and so is imported by the probe alone, where that is measured.
"""

import time

import torch

from truelift.training.parts import Training
from truelift.training.policies import Policy, Progress

PROBE_SECONDS = 6.0
"""Of steps; more where one step takes that long, less where the training is shorter."""
_WARM_UP_STEPS, _FEWEST_STEPS = 3, 6


class EnoughError(Exception):
    """The steps that were wanted are made."""


class Clock(Policy):
    """Ends a training once it has made enough steps.

    Args:
        training: It begins now.
    """

    name = "clock"

    def __init__(self, training: Training) -> None:
        self.first = time.perf_counter()
        """Before the first step."""
        self._training = training
        self._made, self._began, self._evaluated = 0, 0.0, 0.0

    def __call__(self, progress: Progress) -> None:
        """Look at the clock before a step."""
        if self._made == _WARM_UP_STEPS:
            _wait_for(self._training.device)
            self._began, self._evaluated = time.perf_counter(), self._training.meters.evaluation_seconds
        if self._made >= _WARM_UP_STEPS + _FEWEST_STEPS and time.perf_counter() - self._began > PROBE_SECONDS:
            raise EnoughError
        self._made += 1

    def seconds_per_step(self) -> float:
        """With evaluations left out."""
        _wait_for(self._training.device)
        steps = max(1, self._made - _WARM_UP_STEPS)
        evaluated = self._training.meters.evaluation_seconds - self._evaluated
        began = self._began or self.first
        return (time.perf_counter() - began - evaluated) / steps

    def warm_up(self, per_step: float) -> float:
        """Seconds that the first steps took longer than later ones."""
        took = self._began - self.first - self._evaluated
        return max(0.0, took - _WARM_UP_STEPS * per_step) if self._began else 0.0


def _wait_for(device: str) -> None:
    """Until a GPU has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
