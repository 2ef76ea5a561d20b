"""Freezing as a parameter policy, and what it will save."""

from collections.abc import Iterator

import torch
from torch.optim import Optimizer

from truelift.data import ImageBatches
from truelift.errors import InputError, require
from truelift.models import Classifier, build_model, check_image_size, initialise
from truelift.techniques.freezeout import (
    AdaptiveFreezing,
    FreezeOut,
    Front,
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

# Images whose similarities tell how far a representation moved: 64² of them, and a passing over within a step's time.
_PROBE_IMAGES = 64


class FreezingPolicy:
    """Tells the freezing of each step; it counts them itself, and its state is in the checkpoint."""

    def __init__(self, freezing: Front) -> None:
        self.freezing = freezing

    def __call__(self, progress: Progress) -> None:
        """Set the coming step."""
        self.freezing.step()


def make_freezing(
    experiment: Experiment, network: Classifier, optimizer: Optimizer, batches: ImageBatches, steps: int
) -> Front | None:
    """FreezeOut or an adaptive freezing as the experiment's options describe it, or none."""
    options = experiment.freezing
    if options.name == "none":
        return None
    freezing: Front
    if options.name == "freezeout":
        freezing = FreezeOut(
            network,
            optimizer,
            steps=steps,
            t0=options.t0,
            scaling=options.scaling,
            scale_lr=options.scale_lr,
            freeze_every=options.freeze_every,
        )
        stages = freezing.stages
    else:
        by_gradient = options.name == "adaptive-gradient"
        freezing = AdaptiveFreezing(
            network,
            optimizer,
            steps=steps,
            signal="gradient" if by_gradient else "representation",
            images=None if by_gradient else batches.at(0)[0][:_PROBE_IMAGES],
            every_steps=options.every_steps,
            percentile=options.percentile,
            tolerance=options.tolerance,
            patience=options.patience,
            warmup=options.warmup,
            max_share=options.max_share,
        )
        stages = [layer / len(freezing.layers) for layer in range(len(freezing.layers))]  # each by itself, at worst
    if experiment.compile:
        allow_recompilations(stages)
    return freezing


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
        InputError: The network is unknown, does not fit the images, or freezes by no schedule.
    """
    options = experiment.freezing
    adaptive = options.name.startswith("adaptive")
    require("freezing.name", options.name, not adaptive, "freezeout, whose saving is known beforehand")
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
