"""From a name and options to a network."""

import re
from dataclasses import dataclass
from typing import Literal

from truelift.errors import InputError, unknown_name
from truelift.models.cifar_resnet import CifarResNet
from truelift.models.classifier import Classifier

_EXAMPLES = ("resnet8", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network."""

    name: str = "resnet20"
    """resnetDEPTH, a CIFAR residual network of DEPTH = 6n+2 layers: resnet20, resnet32, resnet110, …."""

    shortcut: Literal["A", "B", "C"] = "A"
    """Where the shape changes: A pads with zeros, B projects by a 1×1 convolution; C projects in every block."""

    batch_norm: Literal["before", "after"] = "before"
    """A block's second batch norm before or after the addition."""

    last_relu: bool = True
    """Whether a block ends with a ReLU."""

    width: int = 16
    """Channels of the first stage."""


def build_model(options: ModelOptions, *, classes: int, in_channels: int) -> Classifier:
    """The network that `options` describe, with PyTorch's own initial weights (see `initialise`).

    Raises:
        InputError: The name is unknown, the depth is not 6n+2, or an option is out of range.
    """
    match = re.fullmatch(r"resnet(\d+)", options.name)
    if match is None:
        raise unknown_name("model", options.name, _EXAMPLES)
    return CifarResNet(
        int(match[1]),
        classes,
        in_channels=in_channels,
        width=options.width,
        shortcut=options.shortcut,
        batch_norm=options.batch_norm,
        last_relu=options.last_relu,
    )


def check_image_size(network: Classifier, height: int, width: int) -> None:
    """Refuse images that the network would shrink to nothing.

    Raises:
        InputError: A side is smaller than the network's stride.
    """
    if min(height, width) < network.stride:
        raise InputError(f"images must be at least {network.stride} pixels wide and high, got {width}x{height}")
