"""What a training counts as it goes: steps, losses, time."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from truelift.errors import DivergedError
from truelift.training.compile_clock import CompileClock


class Meters:
    """Steps, mean losses, the seconds spent in the loop, in evaluation and in compiling, each without the others.

    Losses are summed on the device and read only when a line is due, because reading one waits for the device.
    """

    def __init__(self, device: str, *, compiled: bool = False) -> None:
        self.device = torch.device(device)
        self._clock = CompileClock(running=compiled)
        self.step = 0
        self.wall_seconds = 0.0
        self.cpu_seconds = 0.0
        self.evaluation_seconds = 0.0
        self.compile_seconds = 0.0
        # Since the last line of metrics, and since the epoch began.
        self.line_sums: dict[str, Tensor] = {}
        self.line_steps = 0
        self.line_seconds = 0.0
        self.epoch_sums: dict[str, float] = {}
        self.epoch_steps = 0
        self.last_error: Tensor | None = None
        # Of the steps since the last line those left out since a gradient overflowed float16; None in other types.
        self.line_overflows: Tensor | None = None
        # Steps that were left out, since they were not finite.
        self.skipped = 0
        self.skipped_in_a_row = 0
        # Each step's main loss and learning rate since the last line, so that the first that is not finite can be told.
        self._steps: list[tuple[Tensor, float]] = []
        self._of_rule: tuple[str, ...] = ()
        # Whether the training was stopped between an epoch and its evaluation.
        self.evaluation_due = False
        self.start()

    def start(self) -> None:
        """Start the clock."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self._compiling = self._clock.spent()

    def stop(self) -> None:
        """Stop the clock, once the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        compiling = self._clock.spent() - self._compiling
        seconds = time.perf_counter() - self._wall - compiling.wall
        self.wall_seconds += seconds
        self.line_seconds += seconds
        self.cpu_seconds += time.process_time() - self._cpu - compiling.cpu
        self.compile_seconds += compiling.wall

    def stop_compiling(self) -> None:
        """Stop the clock after what was for compiling alone."""
        self.compile_seconds += time.perf_counter() - self._wall

    def begin_epoch(self) -> None:
        """Forget the losses of the epoch before."""
        self.epoch_sums, self.epoch_steps = {}, 0

    def count(
        self,
        losses: Mapping[str, Tensor],
        error: Tensor,
        logged: Mapping[str, Tensor],
        learning_rate: float,
        overflowed: Tensor | None = None,
    ) -> None:
        """One step made.

        Args:
            losses: The main one first.
            error: The batch's.
            logged: What the gradient rule said.
            learning_rate: The step's.
            overflowed: In float16, whether a gradient overflowed and the optimizer left the step out, bool. What the
                rule said of such gradients counts nowhere.
        """
        self._of_rule = tuple(logged)
        if overflowed is not None:
            logged = {name: torch.where(overflowed, 0, value) for name, value in logged.items()}
            now = overflowed.long()
            self.line_overflows = now if self.line_overflows is None else self.line_overflows + now
        main, *others = losses
        of_others = {f"train_{name}_loss": losses[name] for name in others}
        values = {"train_loss": losses[main], **of_others, "train_error": error, **logged}
        for name, value in values.items():
            before = self.line_sums.get(name)
            self.line_sums[name] = value.detach().clone() if before is None else before.add_(value.detach())
        self.line_steps += 1
        self.step += 1
        self.skipped_in_a_row = 0
        self.last_error = error.detach()
        self._steps.append((losses[main].detach(), learning_rate))

    def leave_out(self) -> None:
        """One step left out: it counts as a step, and its losses nowhere."""
        self.step += 1
        self.skipped += 1
        self.skipped_in_a_row += 1

    @property
    def of_rule(self) -> tuple[str, ...]:
        """What the gradient rule logs, by name."""
        return self._of_rule

    @property
    def made(self) -> int:
        """How many steps were made, without those that were left out."""
        return self.step - self.skipped

    def check(self) -> None:
        """Hold everything since the last line to be finite; it waits for the device.

        Raises:
            DivergedError: The mean of the main loss, or of another number, is not.
        """
        for name, sum_ in self.line_sums.items():
            value, step, rate = float(sum_), self.step, self._steps[-1][1] if self._steps else None
            if math.isfinite(value):
                continue
            told = "loss" if name == "train_loss" else name
            for its_step, (loss, its_rate) in enumerate(self._steps, self.step - len(self._steps) + 1):
                if not math.isfinite(loss):
                    told, value, step, rate = "loss", float(loss), its_step, its_rate
                    break
            raise DivergedError(told, value, step, rate)

    def line(self, *, batch_size: int, steps_per_epoch: int, logged: Mapping[str, float]) -> dict[str, Any]:
        """The line of metrics for the steps since the line before, with what policies log; the clock must be stopped.

        Raises:
            DivergedError: The mean of the main loss, or of another number, is not finite.
        """
        self.check()
        sums = {name: float(value) for name, value in self.line_sums.items()}
        overflows = 0 if self.line_overflows is None else int(self.line_overflows)
        made = {name: max(1, self.line_steps - overflows) for name in self._of_rule}
        self.skipped += overflows
        self.line_overflows = None
        line = {
            "kind": "train",
            "step": self.step,
            "epoch": self.step / steps_per_epoch,
            **{name: value / made.get(name, self.line_steps) for name, value in sums.items()},
            **logged,
            "images_per_second": self.line_steps * batch_size / self.line_seconds,
        }
        self.epoch_sums = {name: self.epoch_sums.get(name, 0.0) + sum_ for name, sum_ in sums.items()}
        self.epoch_steps += self.line_steps
        self.line_sums, self._steps = {}, []
        self.line_steps, self.line_seconds = 0, 0.0
        return line

    def epoch_mean(self, name: str) -> float:
        """Mean over the epoch's steps of what stands in the lines under this name, as far as they are in a line.

        Raises:
            DivergedError: Every step was left out.
        """
        if not self.epoch_steps:
            raise DivergedError("loss of every step of the last epoch", math.nan, self.step)
        return self.epoch_sums[name] / self.epoch_steps

    def state_dict(self) -> dict[str, Any]:
        """All counts; the clock must be stopped."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "device"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave; what was spent on compiling since then stays."""
        here = self.compile_seconds
        vars(self).update(state)
        self.compile_seconds = here + state.get("compile_seconds", 0.0)
