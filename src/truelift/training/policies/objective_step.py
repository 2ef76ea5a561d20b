"""An objective that changes with the training."""

from truelift.training.objectives import Objective
from truelift.training.policies.base import Policy, Progress


class ObjectiveStep(Policy):
    """Tells the objective how many steps are made, for a margin that grows, say."""

    name = "objective_step"

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, progress: Progress) -> None:
        """Tell it."""
        self.objective.set_step(progress.step)
