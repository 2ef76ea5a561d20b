"""FreezeOut as a parameter policy, and what it will save."""

from collections.abc import Iterator

import torch
from torch.optim import Optimizer

from truelift.errors import InputError
from truelift.models import Classifier, build_model, check_image_size, initialise
from truelift.techniques.freezeout import (
    FreezeOut,
    allow_recompilations,
    authors_estimate,
    counted_costs,
    freezing_points,
    freezing_stages,
    saving,
    timed_costs,
)
from truelift.training.evaluation import make_autocast
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


def predict_saving(
    experiment: Experiment, image_shape: tuple[int, int, int], classes: int, *, measure: bool
) -> Iterator[str]:
    """Lines that say what the experiment's schedule saves: counted, estimated as the authors do, and timed if wanted.

    Raises:
        InputError: The network is unknown, or does not fit the images.
    """
    options = experiment.freezing
    network = build_model(experiment.model, classes=classes, in_channels=image_shape[0])
    check_image_size(network, *image_shape[1:])
    initialise(network, experiment.seed)
    network.to(experiment.device)
    if experiment.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(experiment.batch_size, *image_shape, device=experiment.device)
    points = freezing_points(len(network.layers()), options.t0, options.scaling)
    stages = freezing_stages(points, options.freeze_every)
    yield (
        f"{experiment.model.name}, {len(points)} layers, {options.scaling}, t0 {options.t0:g}: "
        f"the first layer freezes after {100 * stages[0]:.1f} % of the training"
    )
    yield f"counted operations saved: {100 * saving(stages, counted_costs(network, images)):.1f} %"
    estimate = authors_estimate(network, images, points, linear=options.scaling == "linear")
    yield f"the paper's own estimate: {100 * estimate:.1f} %"
    if measure:
        with make_autocast(experiment.device, experiment.precision):
            seconds = timed_costs(network, images.to(memory_format=torch.channels_last))
        yield (
            f"predicted for the clock here, {experiment.precision}, batch {experiment.batch_size}: "
            f"{100 * saving(stages, seconds):.1f} % of forward and backward, {1e3 * seconds[0]:.0f} ms a whole step"
        )
