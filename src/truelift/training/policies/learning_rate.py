"""The learning rate as a schedule has it."""

from typing import Any

from torch.optim import Optimizer

from truelift.training.policies.base import Policy, Progress
from truelift.training.schedules import Remembering, Schedule


class ScheduledLearningRate(Policy):
    """Sets each group's learning rate to its initial one times the schedule's factor."""

    name = "learning_rate"

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.initial = [float(group["lr"]) for group in optimizer.param_groups]

    def __call__(self, progress: Progress) -> None:
        """Set the learning rates for the coming step."""
        factor = self.schedule(progress)
        for group, lr in zip(self.optimizer.param_groups, self.initial, strict=True):
            group["lr"] = lr * factor

    def logged(self) -> dict[str, float]:
        """The first group's learning rate."""
        return {"learning_rate": float(self.optimizer.param_groups[0]["lr"])}

    def state_dict(self) -> dict[str, Any]:
        """The schedule's, where it has one."""
        return self.schedule.state_dict() if isinstance(self.schedule, Remembering) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        if isinstance(self.schedule, Remembering):
            self.schedule.load_state_dict(state)
