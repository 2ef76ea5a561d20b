"""Two-dimensional features of the test images, to be drawn. N images, K classes."""

import torch

from truelift.data import Splits
from truelift.records import Features
from truelift.training.assembly import Training
from truelift.training.mixture import GaussianMixture, embedded, head_of


@torch.inference_mode()
def planar_features(training: Training, splits: Splits) -> Features | None:
    """The features that the classifier sees and the Gaussians over them, or None where there are not just two."""
    if training.experiment.objective.feature_size != 2:
        return None
    training.network.eval()
    parts = []
    for images, labels in training.evaluations["test"].epoch(0):
        with training.autocast:
            parts.append((embedded(training.network, images).float(), labels))
    features, labels = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    means = variances = torch.empty(0, 2)
    if isinstance(training.objective, GaussianMixture):
        head = head_of(training.network)
        means = head.means.float().cpu()
        variances = head.variance().expand_as(means).float().cpu()
    return Features(features.numpy(), labels.numpy(), means.numpy(), variances.numpy(), splits.classes)
