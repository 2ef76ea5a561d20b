"""What a training counts as it goes: steps, losses, time."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from truelift.errors import FailedError


class DivergedError(FailedError):
    """The loss is no longer a finite number."""


class Meters:
    """Steps, mean losses, and the seconds spent in the loop with evaluation and checkpoints left out.

    Losses are summed on the device and read only when a line is due, because reading one waits for the device.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.step = 0
        self.wall_seconds = 0.0
        self.cpu_seconds = 0.0
        # Since the last line of metrics, and since the epoch began.
        self.line_sums: dict[str, Tensor] = {}
        self.line_steps = 0
        self.line_seconds = 0.0
        self.epoch_sums: dict[str, float] = {}
        self.epoch_steps = 0
        self.last_error: Tensor | None = None
        # Whether the training was stopped between an epoch and its evaluation.
        self.evaluation_due = False
        self.start()

    def start(self) -> None:
        """Start the clock."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Stop the clock, once the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - self._wall
        self.wall_seconds += seconds
        self.line_seconds += seconds
        self.cpu_seconds += time.process_time() - self._cpu

    def begin_epoch(self) -> None:
        """Forget the losses of the epoch before."""
        self.epoch_sums, self.epoch_steps = {}, 0

    def count(self, losses: Mapping[str, Tensor], error: Tensor, logged: Mapping[str, Tensor]) -> None:
        """One step made, with these losses, the main one first, the batch's error, and what the gradient rule said."""
        main, *others = losses
        of_others = {f"train_{name}_loss": losses[name] for name in others}
        values = {"train_loss": losses[main], **of_others, "train_error": error, **logged}
        for name, value in values.items():
            before = self.line_sums.get(name)
            self.line_sums[name] = value.detach().clone() if before is None else before.add_(value.detach())
        self.line_steps += 1
        self.step += 1
        self.last_error = error.detach()

    def line(self, *, batch_size: int, steps_per_epoch: int, logged: Mapping[str, float]) -> dict[str, Any]:
        """The line of metrics for the steps since the line before, with what policies log; the clock must be stopped.

        Raises:
            DivergedError: The mean of the main loss, or of another number, is not finite.
        """
        sums = {name: float(value) for name, value in self.line_sums.items()}
        for name, value in sums.items():
            if not math.isfinite(value):
                told = "loss" if name == "train_loss" else name
                raise DivergedError(f"the training diverged: the {told} is {value} at step {self.step}")
        line = {
            "kind": "train",
            "step": self.step,
            "epoch": self.step / steps_per_epoch,
            **{name: value / self.line_steps for name, value in sums.items()},
            **logged,
            "images_per_second": self.line_steps * batch_size / self.line_seconds,
        }
        self.epoch_sums = {name: self.epoch_sums.get(name, 0.0) + sum_ for name, sum_ in sums.items()}
        self.epoch_steps += self.line_steps
        self.line_sums = {}
        self.line_steps, self.line_seconds = 0, 0.0
        return line

    def epoch_mean(self, name: str) -> float:
        """Mean over the epoch's steps of what stands in the lines under this name, as far as they are in a line."""
        return self.epoch_sums[name] / self.epoch_steps

    def state_dict(self) -> dict[str, Any]:
        """All counts; the clock must be stopped."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "device"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        vars(self).update(state)
