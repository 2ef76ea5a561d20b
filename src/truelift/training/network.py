"""An experiment's network: built, checked against its images, with its objective's head and initial weights."""

import copy

import torch

from truelift.data import Preprocess, Splits
from truelift.errors import InputError, one_line
from truelift.models import Classifier, Whole, build_model, check_image_size, initialise, whitening_layers
from truelift.seeds import derive
from truelift.training import objectives
from truelift.training.evaluation import evaluation_batches
from truelift.training.experiment import Experiment
from truelift.training.objectives.heads import embed

_WHITENED_IMAGES = 5000


def sides(experiment: Experiment, side: int) -> tuple[int, ...]:
    """The sides of the training images, in the order of the training.

    Args:
        experiment: From `resolve`.
        side: Of its images.
    """
    return experiment.data.progressive or (side,)


def build_network(experiment: Experiment, image_shape: tuple[int, ...], classes: int, device: str) -> Classifier:
    """The network with the objective's head and initial weights, on the device.

    Args:
        experiment: From `resolve`.
        image_shape: Of an image, (C, H, W).
        classes: K.
        device: Where it will be.

    Raises:
        InputError: The network is unknown, or the images do not fit it.
    """
    channels, height, width = image_shape
    options = experiment.objective
    with torch.random.fork_rng(devices=[]):  # a user's own network draws its weights by itself
        torch.manual_seed(derive(experiment.seed, "init"))
        network = build_model(experiment.model, classes=classes, in_channels=channels, image_size=(height, width))
    check_image_size(network, height, width)
    smallest = min(sides(experiment, height))
    if smallest < height:
        check_image_size(network, smallest, smallest)
    if isinstance(network, Whole) and _needs_features(experiment):
        network.features(torch.empty(0))  # which says that there are none
    head = objectives.make_head(options, options.feature_size or feature_size(network) or 0, classes)
    embed(network, options.feature_size, head, classes)
    initialise(network, derive(experiment.seed, "init"))
    network.to(device)
    if experiment.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def fit_whitening(network: Classifier, splits: Splits, preprocess: Preprocess, device: str) -> None:
    """Fit the layers that whiten to training images without augmentation, evenly from all of the stored order.

    Some thousands give each of the few figures to a hundredth, in about a second.
    """
    for layer in whitening_layers(network, network.kept):
        chosen = torch.linspace(0, len(splits.train) - 1, min(len(splits.train), _WHITENED_IMAGES)).round().long()
        batches = evaluation_batches(splits.train.subset(chosen), splits, preprocess, device)
        layer.fit(batch.images for batch in batches.epoch(0))


def _needs_features(experiment: Experiment) -> bool:
    """Whether anything but logits is wanted of the network."""
    embeds = objectives.needs_features(experiment.objective)
    detects = experiment.detection.outliers is not None or experiment.detection.fgsm_epsilon is not None
    return embeds or detects or experiment.probe.name != "none" or experiment.has_auxiliary_task


def feature_size(network: Classifier) -> int | None:
    """D, of what the network's head takes; None where no head can be told from the network."""
    return None if isinstance(network, Whole) else network.feature_size


def check_one_image(network: Classifier, channels: int, side: int, device: str) -> None:
    """Refuse batches of one image where a layer needs several, as batch norm does behind the last pooling.

    Raises:
        InputError: A copy of the network refuses one image.
    """
    with torch.no_grad(), torch.random.fork_rng():
        try:
            copy.deepcopy(network).train()(torch.zeros(1, channels, side, side, device=device))
        except ValueError as error:
            told = (
                f"batch_size must be 2 or more in each process, since a layer needs several images: {one_line(error)}"
            )
            raise InputError(f"{told}.") from None
