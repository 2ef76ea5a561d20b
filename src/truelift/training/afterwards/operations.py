"""What a training cost in counted operations, which are the same on every machine."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from truelift.techniques.freezeout import counted_costs, plain_cost, saving
from truelift.training.afterwards.base import End

if TYPE_CHECKING:  # its settings name what is here
    from truelift.training.parts import Training


def operations(end: End) -> End:
    """Adds what `counted` counts."""
    training = end.training
    images = training.steps * min(training.experiment.batch_size, len(end.splits.train))
    return replace(end, metrics=end.metrics | counted(training, end.splits.train.shape, images))


def counted(training: "Training", image_shape: torch.Size, images_seen: int) -> dict[str, float]:
    """Metrics of a training at its end, by name.

    counted_saving: percent of its own operations that freezing has saved, or by its schedule will have.
    training_operations: multiplications and additions of all its convolutions and matrix products, forward and
    backward, as `counted_costs` counts them. Left out where it is not one network on images of one size: with
    `data.progressive` or an auxiliary task. Kept activations (`freezing.cache`) save a forward pass that is counted.
    """
    network = copy.copy(training.network)  # what torch.compile made is bound to the trained network
    vars(network).pop("features", None)
    images = torch.empty(2, *image_shape)  # batch norm refuses one
    stages = next((where for policy in training.policies if (where := policy.stages()) is not None), None)
    if stages is None:
        a_step, saved = plain_cost(network, images), 0.0
    else:
        costs = counted_costs(network, images)
        a_step, saved = costs[0], saving(stages, costs)
    found = {"counted_saving": 100 * saved}
    if not training.experiment.has_auxiliary_task and not training.experiment.data.progressive:
        found["training_operations"] = images_seen * a_step / len(images) * (1 - saved)
    return found
