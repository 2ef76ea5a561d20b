"""What tests look at inside a training that is put together."""

from truelift.techniques.freezeout import Front
from truelift.training.parts import Training
from truelift.training.policies.freezing import FreezingPolicy


def freezing_of(training: Training) -> Front | None:
    """What freezes the training's layers."""
    return next((policy.freezing for policy in training.policies if isinstance(policy, FreezingPolicy)), None)
