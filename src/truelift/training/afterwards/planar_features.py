"""Two-dimensional features of the test images, to be drawn. N images, K classes."""

from dataclasses import replace

import torch

from truelift.records import Features
from truelift.training.afterwards.base import End
from truelift.training.objectives.heads import embedded


@torch.inference_mode()
def planar(end: End) -> End:
    """Adds features.npz, with the Gaussians over the features, where the classifier sees two of them."""
    training = end.training
    if training.experiment.objective.feature_size != 2:
        return end
    training.network.eval()
    parts = []
    for images, labels, _ in training.evaluations["test"].epoch(0):
        with training.autocast:
            parts.append((embedded(training.network, images).float(), labels))
    features, labels = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    gaussians = training.objective.gaussians(training.network)
    means, variances = (torch.empty(0, 2),) * 2 if gaussians is None else (part.cpu() for part in gaussians)
    found = Features(features.numpy(), labels.numpy(), means.numpy(), variances.numpy(), end.splits.classes)
    return replace(end, files=end.files | {"features.npz": found})
