"""Two-dimensional features of the test images, to be drawn. N images, K classes."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from truelift.data import Splits
from truelift.records import Features
from truelift.training.afterwards.base import End
from truelift.training.objectives.heads import embedded

if TYPE_CHECKING:  # its settings name what is here
    from truelift.training.build import Training


def planar(end: End) -> End:
    """Adds features.npz where the classifier sees two features."""
    features = planar_features(end.training, end.splits)
    return end if features is None else replace(end, files=end.files | {"features.npz": features})


@torch.inference_mode()
def planar_features(training: "Training", splits: Splits) -> Features | None:
    """The features that the classifier sees and the Gaussians over them, or None where there are not just two."""
    if training.experiment.objective.feature_size != 2:
        return None
    training.network.eval()
    parts = []
    for images, labels, _ in training.evaluations["test"].epoch(0):
        with training.autocast:
            parts.append((embedded(training.network, images).float(), labels))
    features, labels = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    gaussians = training.objective.gaussians(training.network)
    means, variances = (torch.empty(0, 2),) * 2 if gaussians is None else (part.cpu() for part in gaussians)
    return Features(features.numpy(), labels.numpy(), means.numpy(), variances.numpy(), splits.classes)
