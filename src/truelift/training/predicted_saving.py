"""What freezing layers will save, without training."""

from collections.abc import Iterator

import torch

from truelift.errors import require
from truelift.models import build_model, check_image_size, initialise
from truelift.techniques.freezeout import (
    authors_estimate,
    counted_costs,
    freezing_points,
    saving,
    timed_costs,
)
from truelift.training.evaluation import make_autocast
from truelift.training.experiment import Experiment
from truelift.training.hardware import pick_device, pick_precision


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
    device = pick_device(experiment.device)
    network = build_model(experiment.model, classes=classes, in_channels=image_shape[0])
    check_image_size(network, *image_shape[1:])
    initialise(network, experiment.seed)
    network.to(device)
    if experiment.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(experiment.batch_size, *image_shape, device=device)
    costs = counted_costs(network, images)
    points = freezing_points(len(costs), options.t0, options.scaling)
    stages = options.stages(len(costs))
    yield (
        f"{experiment.model.name}, {len(points)} layers, {options.scaling}, t0 {options.t0:g}: "
        f"the first layer freezes after {100 * stages[0]:.1f} % of the training"
    )
    yield f"counted operations saved: {100 * saving(stages, costs):.1f} %"
    estimate = authors_estimate(network, images, points, linear=options.scaling == "linear")
    yield f"the paper's own estimate: {100 * estimate:.1f} %"
    if measure:
        precision = pick_precision(experiment.precision, device)
        with make_autocast(device, precision):
            seconds = timed_costs(network, images.to(memory_format=torch.channels_last))
        yield (
            f"predicted for the clock here, {precision}, batch {experiment.batch_size}: "
            f"{100 * saving(stages, seconds):.1f} % of forward and backward, {1e3 * seconds[0]:.0f} ms a whole step"
        )
