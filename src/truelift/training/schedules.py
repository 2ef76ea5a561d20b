"""From the step to a factor on the learning rate. With t steps made, w of them warm-up, and T steps in all."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Any, Literal, Protocol, SupportsFloat, runtime_checkable

import torch
from torch.optim.lr_scheduler import LRScheduler

from truelift.errors import InputError
from truelift.options import POSITIVE, SHARE, Conflict, In, OneOf, Only, Registry, at_least
from truelift.own import blamed, call, is_import_path, parameters, refuse_unknown
from truelift.training.policies.base import Progress

Schedule = Callable[[Progress], float]
"""From progress to a factor on the learning rate."""

Shape = Callable[["ScheduleOptions", int, int, int], Callable[[int], float]]
"""From options, w, T and the steps an epoch to the factor after the warm-up, by t."""

_STEPS = at_least(0, 1_000_000_000)
_EPOCHS = at_least(0, 1_000_000)
_WHERE_IT_HAS_A_LENGTH = tuple(Only(f"warmup_{unit}", above=0) for unit in ("percent", "epochs", "steps"))

# Over one batch of 128 the error is known to 4 points, over these to 1; and the device waits for nobody in between.
_STEPS_MEASURED = 20


def _constant(options: "ScheduleOptions", warmup: int, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    return lambda t: 1.0


def _step(options: "ScheduleOptions", warmup: int, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    milestones = options.milestones(steps_per_epoch, steps)
    return lambda t: float(options.gamma ** bisect_right(milestones, t))


def _cosine(options: "ScheduleOptions", warmup: int, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    final = options.final_factor
    return lambda t: final + (1 - final) * ((1 + math.cos(math.pi * ((t - warmup) / max(steps - warmup, 1)))) / 2)


def _linear(options: "ScheduleOptions", warmup: int, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    final = options.final_factor
    return lambda t: final + (1 - final) * (1 - (t - warmup) / max(steps - warmup, 1))


SCHEDULES: Registry[Any] = Registry(
    "schedule", {"constant": _constant, "step": _step, "cosine": _cosine, "linear": _linear}
)


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """From the step to a factor on the learning rate."""

    name: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    """constant: 1. step: times gamma at each milestone. cosine, linear: from 1 after the warm-up to final_factor at the
    end; after a long warm-up linear is the triangular rate and cosine the one-cycle rate. Or your own,
    package.module:name or file.py:name, torch's (torch.optim.lr_scheduler:OneCycleLR) among them."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own schedule's arguments: --schedule.args.NAME VALUE."""

    milestones_percent: Annotated[tuple[float, ...] | None, In("in [0, 100] each", lambda p: 0 <= p <= 100)] = None
    """step: where the factor falls, in percent of the training's steps. Default: 50 and 75."""

    milestones_epochs: Annotated[tuple[float, ...] | None, _EPOCHS] = None
    """step: the same in epochs."""

    milestones_steps: Annotated[tuple[int, ...] | None, _STEPS] = None
    """step: the same in steps."""

    gamma: Annotated[float, POSITIVE, Only("name", "step")] = 0.1
    """step: the factor at each milestone; above 0."""

    final_factor: Annotated[float, SHARE] = 0.0
    """cosine, linear: the factor at the end; in [0, 1]."""

    warmup_percent: Annotated[float | None, In("in [0, 100]", lambda percent: 0 <= percent <= 100)] = None
    """Length of the warm-up in percent of the training's steps, in [0, 100]."""

    warmup_epochs: Annotated[float | None, _EPOCHS] = None
    """The same in epochs, at least 0."""

    warmup_steps: Annotated[int | None, _STEPS] = None
    """The same in steps, at least 0."""

    warmup: Annotated[
        Literal["linear", "constant", "until-error"], Only("warmup", "until-error"), *_WHERE_IT_HAS_A_LENGTH
    ] = "linear"
    """linear: the warm-up rises in a line from warmup_factor to 1. constant: it stays there, and then jumps to 1.
    until-error: the same, but it lasts until the training error is under warmup_error_percent, whatever that takes."""

    warmup_factor: Annotated[float, SHARE, Only("warmup", "until-error"), *_WHERE_IT_HAS_A_LENGTH] = 0.0
    """The warm-up's first factor, in [0, 1]; above 0 if the warm-up is not linear."""

    warmup_error_percent: Annotated[
        float, In("in (0, 100]", lambda percent: 0 < percent <= 100), Only("warmup", "until-error")
    ] = 80.0
    """until-error: the training error, over 20 steps, under which the warm-up ends; in (0, 100]."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        rises = self.warmup == "linear" or self.warmup_factor > 0
        yield "warmup_factor", rises, f"above 0 where schedule.warmup is {self.warmup}"
        lengths = (self.warmup_steps, self.warmup_epochs, self.warmup_percent)
        known = self.warmup != "until-error" or not any(lengths)
        yield "warmup", known, "linear or constant where its length is given"
        for quantity in ("milestones", "warmup"):
            for name in self.given(quantity)[1:]:
                yield (
                    name,
                    False,
                    f"left out where schedule.{self.given(quantity)[0]} is given: the same quantity in two units",
                )
        for name in self.given("milestones")[:1]:
            yield name, self.name == "step", f"left out for schedule.name {self.name}: it belongs to step"
        falls = self.final_factor == 0 or self.name in ("cosine", "linear")
        yield "final_factor", falls, f"0 for schedule.name {self.name}: it belongs to cosine and linear"

    def given(self, quantity: str) -> list[str]:
        """The options of `quantity` that are set, in whatever unit."""
        names = (f"{quantity}_{unit}" for unit in ("percent", "epochs", "steps"))
        return [name for name in names if getattr(self, name, None) is not None]

    def milestones(self, steps_per_epoch: int, steps: int) -> list[int]:
        """The milestones in steps."""
        if self.milestones_steps is not None:
            return sorted(self.milestones_steps)
        if self.milestones_epochs is not None:
            return sorted(round(epoch * steps_per_epoch) for epoch in self.milestones_epochs)
        return sorted(round(percent * steps / 100) for percent in self.milestones_percent or ())


@runtime_checkable
class Remembering(Protocol):
    """A schedule that a resumed run must give its memory back to."""

    def state_dict(self) -> dict[str, Any]:
        """The memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        ...


class UntilError:
    """A schedule's warm-up that lasts until the training error is low.

    Formula: the factor is `factor` until the error over some 20 steps, counted in twenties from the training's start,
    is under the threshold; from the next step on it is `after`'s, for good.

    Args:
        after: The schedule behind the warm-up; it goes by the steps from the training's start all the same.
        factor: Above 0.
        error_percent: The threshold.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2: 0.01 "until the training error is
        below 80% (about 400 iterations)", for 110 layers. They do not say how it is measured.
    """

    def __init__(self, after: Schedule, *, factor: float, error_percent: float) -> None:
        self.after = after
        self.factor = factor
        self.error_percent = error_percent
        self.over = False
        self._errors: list[SupportsFloat] = []

    def __call__(self, progress: Progress) -> float:
        """The factor for the coming step."""
        if not self.over and progress.last_error is not None:
            self._errors.append(progress.last_error)
            if len(self._errors) == _STEPS_MEASURED:
                self.over = fmean(map(float, self._errors)) < self.error_percent
                self._errors = []
        return self.after(progress) if self.over else self.factor

    def state_dict(self) -> dict[str, Any]:
        """Whether the warm-up is over, and the errors since the last twenty."""
        return {"over": self.over, "errors": [float(error) for error in self._errors]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.over, self._errors = bool(state["over"]), list(state["errors"])


def build(options: ScheduleOptions, steps_per_epoch: int, steps: int) -> Schedule:
    """The schedule that resolved `options` describe.

    The factor is

        warm-up (t < w):  f + (1 − f)·t/w where it is linear, f where it is constant; f the warm-up's first factor
        constant:         1
        step:             gammaᵏ, k the number of milestones ≤ t
        cosine:           c + (1 − c)·½·(1 + cos(π·(t − w)/(T − w))), c the final factor
        linear:           c + (1 − c)·(1 − (t − w)/(T − w))

    Before `UntilError`, whose length is not known beforehand, w is 0. Behind a warm-up of a fifth of the training or
    so, linear is the triangular rate of Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, once up
    and down, and cosine the one-cycle rate of Smith, Topin, "Super-Convergence", 2018 (who also lower the momentum
    while the rate is high, which is not done here).

    Raises:
        InputError: A user's own one cannot be built.
    """
    if options.warmup_percent is not None:
        warmup = round(options.warmup_percent * steps / 100)
    elif options.warmup_epochs is not None:
        warmup = round(options.warmup_epochs * steps_per_epoch)
    else:
        warmup = options.warmup_steps or 0
    found = SCHEDULES.find(options.name)
    if is_import_path(options.name):
        after = _own(options.name, found, options.args, steps_per_epoch, steps)
    else:
        after = found(options, warmup, steps, steps_per_epoch)

    def factor(progress: Progress) -> float:
        t = progress.step
        if t < warmup:
            risen = t if options.warmup == "linear" else 0
            return options.warmup_factor + (1 - options.warmup_factor) * risen / warmup
        return after(t)

    if options.warmup != "until-error":
        return factor
    return UntilError(factor, factor=options.warmup_factor, error_percent=options.warmup_error_percent)


def _own(path: str, found: Any, args: Mapping[str, Any], steps_per_epoch: int, steps: int) -> Callable[[int], float]:
    """A user's own: a function of what it names of step, steps, steps_per_epoch, epoch and progress (t/T).

    A class, or a function that names none but steps and steps_per_epoch, is called once and gives that function. One of
    torch's classes is gone through beforehand, on a learning rate of 1.
    """
    if isinstance(found, type) and issubclass(found, LRScheduler):
        return _of_torch(path, found, args, steps_per_epoch, steps)
    moving = {"step", "epoch", "progress"}
    takes, takes_all = parameters(found)
    if isinstance(found, type) or not moving & takes.keys():
        found = call("schedule", path, found, args, steps=steps, steps_per_epoch=steps_per_epoch)
        takes, takes_all = parameters(found) if callable(found) else ({}, False)
        args = {}
    if not moving & takes.keys():
        raise InputError(f'schedule "{path}" must give a function of step, epoch or progress, got {found!r}.')
    offered = moving | {"steps", "steps_per_epoch"}
    if not takes_all:
        refuse_unknown("schedule", path, args, [name for name in takes if name not in offered])

    def factor(t: int) -> float:
        there = {
            "step": t,
            "steps": steps,
            "steps_per_epoch": steps_per_epoch,
            "epoch": t // steps_per_epoch,
            "progress": t / steps,
        }
        with blamed("schedule", path):
            value = float(found(**{name: there[name] for name in takes if name in there}, **args))
        if not 0 <= value < math.inf:
            raise InputError(f'schedule "{path}" must give a factor that is at least 0 and finite, got {value}.')
        return value

    factor(0)
    return factor


def _of_torch(
    path: str, kind: type[LRScheduler], args: Mapping[str, Any], steps_per_epoch: int, steps: int
) -> Callable[[int], float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    lengths = {"total_iters": steps, "total_steps": steps, "T_max": steps, "max_lr": 1.0}
    scheduler = call("schedule", path, kind, args, optimizer=optimizer, steps_per_epoch=steps_per_epoch, **lengths)
    factors = []
    with blamed("schedule", path):  # one that wants to be told of a metric raises, say
        for t in range(steps):
            factors.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if t + 1 < steps:
                scheduler.step()
    return factors.__getitem__
