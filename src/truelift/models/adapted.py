"""A user's own network as a `Classifier`. N images, C channels, H×W pixels, D features, K classes."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.models.classifier import Classifier
from truelift.models.example import example_images, untouched
from truelift.models.find_head import close, find_head, named_head, replace_everywhere
from truelift.models.weights import copy_trained, read_tensors
from truelift.own import raised


class Adapted(Classifier):
    """A network whose head stands apart: `features` are what enters it.

    It has no `layers()`: those are found by an example. Its weights are the user's own: `initialise` draws only those
    of a head that an objective puts in place of the network's.

    Args:
        trunk: The network, with a pass-through in place of its head.
        head: From features to logits.
        feature_size: D.
    """

    stride = 1

    def __init__(self, trunk: nn.Module, head: nn.Module, feature_size: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.feature_size = feature_size
        self.keep_weights([*trunk.modules(), *head.modules()])

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to features (N, D)."""
        features: Tensor = self.trunk(images)
        return features


class Whole(Classifier):
    """A network in which no head can be told: it can be trained by its logits, and has no features.

    Args:
        network: From images to logits.
        path: What the user calls it, for messages.
    """

    stride = 1

    def __init__(self, network: nn.Module, path: str) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Identity()  # of the logits
        self.path = path
        self.keep_weights(network.modules())

    @property
    def feature_size(self) -> int:  # type: ignore[override]
        """Refused.

        Raises:
            InputError: Always.
        """
        raise _no_features(self.path)

    def features(self, images: Tensor) -> Tensor:
        """Refused.

        Raises:
            InputError: Always.
        """
        raise _no_features(self.path)

    def compile_features(self, *, by_layer: bool = False) -> None:
        """Compile the whole network with torch.compile."""
        self.network.compile()

    def forget_compiled(self) -> None:
        """Be as before `compile_features`."""
        self.network._compiled_call_impl = None

    def forward(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to logits (N, K)."""
        logits: Tensor = self.network(images)
        return logits


def adapt(
    network: nn.Module,
    path: str,
    *,
    classes: int | None,
    in_channels: int,
    image_size: tuple[int, int],
    head: str | None = None,
    weights: Path | None = None,
) -> Classifier:
    """A user's own network with its head apart where it has one, once it has shown that it gives logits.

    The network is tried out on two images, in training and in inference mode; its running statistics and the random
    number generator are as before. It is changed: a pass-through stands in place of its head.

    Args:
        network: From images (N, C, H, W) to logits (N, K). A `Classifier` stays as it is.
        path: What the user calls it, for messages.
        classes: K; None for whatever the network has.
        in_channels: C.
        image_size: H and W.
        head: The dotted name of the head where it cannot be found by itself.
        weights: A file of the network's trained weights, with its own names. A head of another shape is left out:
            `initialise` draws it anew.

    Raises:
        InputError: The file does not fit, the network raises or gives something else than logits, or what `head` names
            is no head.
    """
    images = example_images(in_channels, image_size)
    for training in (True, False):
        logits = _tried(network, path, images, classes, training=training)
    if isinstance(network, Classifier):
        _read(network, network.head, weights)
        network.keep_weights(network.modules())
        return network
    name = head if head is not None else find_head(network, images)
    if name is None:
        _read(network, None, weights)
        return Whole(network, path)
    module = named_head(network, name)
    has_trained_head = _read(network, module, weights)
    if weights is not None:
        with untouched(network, training=False):
            logits = network(images)
    replace_everywhere(network, module, nn.Identity())
    try:
        with untouched(network, training=False), untouched(module, training=False):
            features = network(images)
            fits = isinstance(features, Tensor) and features.ndim == 2 and close(module(features), logits)
    except Exception as error:
        raise InputError(
            f'model.head "{name}" is no head of model "{path}": without it, it {raised(error)}.'
        ) from error
    if not fits:
        raise InputError(
            f'model.head must be a module that makes the logits of model "{path}" from features (N, D), got "{name}".'
        )
    adapted = Adapted(network, module, features.shape[1])
    if not has_trained_head:
        with_new_head(adapted, logits.shape[1])
    return adapted


def _read(network: nn.Module, head: nn.Module | None, weights: Path | None) -> bool:
    """Read a file of weights, if there is one; whether the head needs no new weights."""
    if weights is None:
        return True
    return copy_trained(network, head, read_tensors(weights), lambda name: name, str(weights))


def _tried(network: nn.Module, path: str, images: Tensor, classes: int | None, *, training: bool) -> Tensor:
    """The logits of an example, if they are such."""
    mode = "training" if training else "inference"
    size = "x".join(map(str, images.shape[1:]))
    try:
        with untouched(network, training=training):
            logits: Any = network(images)
    except (Exception, SystemExit) as error:
        raise InputError(f'model "{path}", given images of {size} in {mode} mode, {raised(error)}.') from error
    wanted = f"logits ({len(images)}, {'K' if classes is None else classes}) of {len(images)} images in {mode} mode"
    if not isinstance(logits, Tensor):
        raise InputError(f'model "{path}" must give {wanted}, a tensor, got {type(logits).__name__}.')
    if logits.ndim != 2 or len(logits) != len(images) or (classes is not None and logits.shape[1] != classes):
        told = logits.ndim != 2 or len(logits) != len(images)
        hint = "" if told else f" If it takes their number by another name, set it: model.args.num_classes = {classes}."
        raise InputError(f'model "{path}" must give {wanted}, got the shape {tuple(logits.shape)}.{hint}')
    if not logits.is_floating_point():
        raise InputError(f'model "{path}" must give {wanted}, floating-point numbers, got {logits.dtype}.')
    return logits


def _no_features(path: str) -> InputError:
    return InputError(
        f'model "{path}" has no linear head that could be found, so it has no features. Name its head by model.head, '
        "or leave out what needs features (another objective than softmax, auxiliary tasks, probe, detection)."
    )


def with_new_head(network: Adapted, classes: int) -> None:
    """Give a pretrained network a linear head for other classes; `initialise` draws its weights."""
    with torch.random.fork_rng(devices=[]):
        network.head = nn.Linear(network.feature_size, classes)
