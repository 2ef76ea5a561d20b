"""What a training cost in counted operations, which are the same on every machine."""

import copy

import torch

from truelift.techniques.freezeout import counted_costs, plain_cost, saving
from truelift.training.assembly import Training


def counted(training: Training, image_shape: torch.Size, images_seen: int) -> dict[str, float]:
    """Metrics of a training at its end, by name.

    counted_saving: percent of its own operations that freezing has saved, or by its schedule will have.
    training_operations: multiplications and additions of all its convolutions and matrix products, forward and
    backward, as `counted_costs` counts them. Left out where it is not one network on images of one size: with
    `data.progressive` or an auxiliary task. Kept activations (`freezing.cache`) save a forward pass that is counted.
    """
    network = copy.copy(training.network)  # what torch.compile made is bound to the trained network
    vars(network).pop("features", None)
    images = torch.empty(2, *image_shape)  # batch norm refuses one
    if training.freezing is None:
        a_step, saved = plain_cost(network, images), 0.0
    else:
        costs = counted_costs(network, images)
        a_step, saved = costs[0], saving(training.freezing.stages, costs)
    found = {"counted_saving": 100 * saved}
    experiment = training.experiment
    alone = not experiment.tasks.auxiliary and experiment.tasks.auxiliary_rotation is None
    if alone and not experiment.data.progressive:
        found["training_operations"] = images_seen * a_step / len(images) * (1 - saved)
    return found
