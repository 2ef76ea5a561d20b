"""Third seam: from training progress to each parameter group's learning rate, and to what else follows the progress.

A policy is a function of the progress alone, so that a resumed run needs no state of it. What remembers more (what is
frozen, whether the warm-up is over) is kept in the checkpoint by name (`assembly.Training`).
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, Protocol, SupportsFloat

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from truelift.training.experiment import Experiment, ScheduleOptions
from truelift.training.objective import Objective

# Over one batch of 128 the error is known to 4 points, over these to 1; and the device waits for nobody in between.
_STEPS_MEASURED = 20


@dataclass(frozen=True)
class Progress:
    """Where the training is before a step."""

    step: int
    """Steps made, from 0."""
    steps_per_epoch: int
    steps: int
    """Steps of the whole training."""

    @property
    def step_in_epoch(self) -> int:
        """Steps made since the epoch began."""
        return self.step % self.steps_per_epoch


class ParameterPolicy(Protocol):
    """Called before every step."""

    def __call__(self, progress: Progress) -> None:
        """Set what the coming step shall use."""
        ...


Schedule = Callable[[Progress], float]
"""From progress to a factor on the learning rate."""


class ScheduledLearningRate:
    """Sets each group's learning rate to its initial one times the schedule's factor."""

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.initial = [float(group["lr"]) for group in optimizer.param_groups]

    def __call__(self, progress: Progress) -> None:
        """Set the learning rates for the coming step."""
        factor = self.schedule(progress)
        for group, lr in zip(self.optimizer.param_groups, self.initial, strict=True):
            group["lr"] = lr * factor


class BatchNormMomentum:
    """Sets the weight of the newest batch in batch norm's running statistics.

    "dynamic" is 1/(1+n), n batches since the epoch began: the running statistics are then the plain mean over the
    epoch's batches (gcr/torch-residual-networks).
    """

    def __init__(self, network: nn.Module, momentum: float | Literal["dynamic"]) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self.momentum = momentum

    def __call__(self, progress: Progress) -> None:
        """Set every batch norm's momentum for the coming step."""
        momentum = 1 / (1 + progress.step_in_epoch) if isinstance(self.momentum, str) else self.momentum
        for norm in self.norms:
            norm.momentum = momentum


class ObjectiveStep:
    """Tells the objective how many steps are made, for a margin that grows, say."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, progress: Progress) -> None:
        """Tell it."""
        self.objective.set_step(progress.step)


class UntilError:
    """A schedule's warm-up that lasts until the training error is low.

    Formula: the factor is `factor` until the error over some 20 steps, counted in twenties from the training's start,
    is under the threshold; from the next step on it is `after`'s, for good.

    Args:
        after: The schedule behind the warm-up; it goes by the steps from the training's start all the same.
        objective: Whose batches' errors count.
        factor: Above 0.
        error_percent: The threshold.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2: 0.01 "until the training error is
        below 80% (about 400 iterations)", for 110 layers. They do not say how it is measured.
    """

    def __init__(self, after: Schedule, objective: Objective, *, factor: float, error_percent: float) -> None:
        self.after = after
        self.objective = objective
        self.factor = factor
        self.error_percent = error_percent
        self.over = False
        self._errors: list[SupportsFloat] = []
        # Whether a step was called for whose error is not among them: it is there once the step is made.
        self._awaited = False

    def __call__(self, progress: Progress) -> float:
        """The factor for the coming step."""
        if not self.over:
            self._errors, self._awaited = self._measured(), True
            if len(self._errors) == _STEPS_MEASURED:
                self.over = fmean(map(float, self._errors)) < self.error_percent
                self._errors = []
        return self.after(progress) if self.over else self.factor

    def state_dict(self) -> dict[str, Any]:
        """Whether the warm-up is over, and the errors since the last twenty."""
        return {"over": self.over, "errors": [float(error) for error in self._measured()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.over, self._errors, self._awaited = bool(state["over"]), list(state["errors"]), False

    def _measured(self) -> list[SupportsFloat]:
        return [*self._errors, self.objective.error] if self._awaited and not self.over else self._errors


def make_policies(
    experiment: Experiment,
    network: nn.Module,
    objective: Objective,
    optimizer: Optimizer,
    schedule: Schedule,
) -> list[ParameterPolicy]:
    """The policies of an experiment, in the order in which they are called."""
    return [
        ScheduledLearningRate(optimizer, schedule),
        BatchNormMomentum(network, experiment.batch_norm_momentum),
        ObjectiveStep(objective),
    ]


def make_schedule(options: ScheduleOptions, steps_per_epoch: int, steps: int) -> Schedule:
    """The schedule that resolved `options` describe.

    With w steps of warm-up, T steps in all and t steps made, the factor is

        warm-up (t < w):  f + (1 − f)·t/w where it is linear, f where it is constant; f the warm-up's first factor
        constant:         1
        step:             gammaᵏ, k the number of milestones ≤ t
        cosine:           ½·(1 + cos(π·(t − w)/(T − w)))
        linear:           1 − (t − w)/(T − w)

    Before `UntilError`, whose length is not known beforehand, w is 0.
    """
    if options.warmup_epochs is not None:
        warmup = round(options.warmup_epochs * steps_per_epoch)
    else:
        warmup = options.warmup_steps or 0
    milestones = _milestones(options, steps_per_epoch, steps)

    def factor(progress: Progress) -> float:
        t = progress.step
        if t < warmup:
            risen = t if options.warmup == "linear" else 0
            return options.warmup_factor + (1 - options.warmup_factor) * risen / warmup
        if options.name == "step":
            return float(options.gamma ** bisect_right(milestones, t))
        if options.name == "constant":
            return 1.0
        done = (t - warmup) / max(steps - warmup, 1)
        return (1 + math.cos(math.pi * done)) / 2 if options.name == "cosine" else 1 - done

    return factor


def _milestones(options: ScheduleOptions, steps_per_epoch: int, steps: int) -> list[int]:
    if options.milestones_steps is not None:
        return sorted(options.milestones_steps)
    if options.milestones_epochs is not None:
        return sorted(round(epoch * steps_per_epoch) for epoch in options.milestones_epochs)
    return sorted(round(percent * steps / 100) for percent in options.milestones_percent or ())
