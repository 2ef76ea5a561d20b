"""Whose batches move a shared trunk's batch-norm statistics."""

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from truelift.errors import is_whole, known, require, shown, whole

StatisticsRule = Literal["main", "joint", "separate"]

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class TaskStatistics(nn.Module):
    """Which task's batches move the running mean and variance of a trunk that several tasks share.

    In training every batch is normalised by its own statistics, whatever the rule: the rule is about the running ones,
    which evaluation uses.

        main       only the main task's batches move them (task 0): evaluation is that of a network that saw the main
                   task's batches alone
        joint      every batch moves them
        separate   each task has its own, and evaluates with them

    Args:
        network: Its batch norms are found once, here.
        rule: main, joint or separate.
        tasks: At least 1.

    Raises:
        InputError: An argument is out of range, or the task of `task` is; `task` is called within another.

    Example:
        >>> statistics = TaskStatistics(trunk)
        >>> with statistics.task(1):
        ...     auxiliary_features = trunk(auxiliary_images)
    """

    def __init__(self, network: nn.Module, rule: StatisticsRule = "main", *, tasks: int = 2) -> None:
        super().__init__()
        known("rule for batch-norm statistics", rule, get_args(StatisticsRule))
        whole("tasks", tasks, 1, 10_000)
        self.rule = rule
        self.tasks = tasks
        self._within = False
        # In a tuple, so that they are not this module's children: they are the network's.
        norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
        self._norms = (norms,)
        if rule == "separate":
            for task in range(1, tasks):
                for i, norm in enumerate(norms):
                    for name in _BUFFERS:
                        self.register_buffer(_name(name, i, task), getattr(norm, name).clone())

    @contextlib.contextmanager
    def task(self, task: int) -> Iterator[None]:
        """Within, batches are of this task, 0 the main one; one task within another is refused."""
        a_number = is_whole(task) and 0 <= task < self.tasks
        require("task", shown(task), a_number, f"in 0..{self.tasks - 1}")
        require("task", f"{shown(task)} within another task", not self._within, "called outside of it")
        self._within = True
        try:
            with self._of(task):
                yield
        finally:
            self._within = False

    @contextlib.contextmanager
    def _of(self, task: int) -> Iterator[None]:
        """What the rule does with batches of this task."""
        if task == 0 or self.rule == "joint":
            yield
        elif self.rule == "separate":
            self._swap(task)
            try:
                yield
            finally:
                self._swap(task)
        else:
            counts = ((norm, norm.num_batches_tracked) for norm in self._norms[0])
            kept = [(norm, norm.momentum, count, None if count is None else count.clone()) for norm, count in counts]
            try:
                for norm in self._norms[0]:
                    norm.momentum = 0.0
                yield
            finally:
                for norm, momentum, count, before in kept:
                    norm.momentum = momentum
                    if count is not None and before is not None:
                        count.copy_(before)

    @torch.no_grad()
    def _swap(self, task: int) -> None:
        """Exchange the norms' own statistics with the task's."""
        for i, norm in enumerate(self._norms[0]):
            for name in _BUFFERS:
                inside, kept = getattr(norm, name), getattr(self, _name(name, i, task))
                setattr(norm, name, kept)
                setattr(self, _name(name, i, task), inside)


def _name(buffer: str, norm: int, task: int) -> str:
    return f"{buffer}_of_norm_{norm}_task_{task}"
