"""FreezeOut as a parameter policy."""

import torch
from torch.optim import Optimizer

from truelift.errors import InputError
from truelift.models import Classifier
from truelift.techniques.freezeout import (
    FreezeOut,
    allow_recompilations,
    counted_costs,
    freezing_points,
    freezing_stages,
    saving,
)
from truelift.training.experiment import Experiment, FreezingOptions
from truelift.training.policy import Progress


class FreezeOutPolicy:
    """Tells FreezeOut of each step; it counts them itself, and its state is in the checkpoint."""

    def __init__(self, freezeout: FreezeOut) -> None:
        self.freezeout = freezeout

    def __call__(self, progress: Progress) -> None:
        """Set the coming step."""
        self.freezeout.step()


def make_freezeout(experiment: Experiment, network: Classifier, optimizer: Optimizer, steps: int) -> FreezeOut:
    """FreezeOut as the experiment's options describe it."""
    options = experiment.freezing
    freezeout = FreezeOut(
        network,
        optimizer,
        steps=steps,
        t0=options.t0,
        scaling=options.scaling,
        scale_lr=options.scale_lr,
        freeze_every=options.freeze_every,
    )
    if experiment.compile:
        allow_recompilations(freezeout.stages)
    return freezeout


def lengthened_epochs(epochs: int, options: FreezingOptions, network: Classifier, image_shape: torch.Size) -> int:
    """The epochs after which the counted operations are those of the plain training: epochs / (1 − saving), rounded.

    Raises:
        InputError: The schedule would save everything.
    """
    if not options.const_time:
        return epochs
    points = freezing_points(len(network.layers()), options.t0, options.scaling)
    saved = saving(freezing_stages(points, options.freeze_every), counted_costs(network, torch.empty(2, *image_shape)))
    if saved >= 1:
        raise InputError(f"freezing.t0 must leave something to train for freezing.const_time, got {options.t0}.")
    return round(epochs / (1 - saved))
