"""From a name and options to a network."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from torch import nn

from truelift.errors import InputError, unknown_name
from truelift.models.cifar_resnet import CifarResNet
from truelift.models.classifier import Classifier
from truelift.models.densenet import DenseNet
from truelift.models.imagenet_resnet import BLOCKS, ImageNetResNet
from truelift.models.recompute import Recomputed
from truelift.models.small_cnn import SmallCnn
from truelift.models.vgg import Vgg
from truelift.models.wide_resnet import WideResNet
from truelift.options import OPERATIONAL

_EXAMPLES = (
    *(f"resnet{depth}" for depth in (8, 20, 32, 44, 56, 110)),
    *(f"imagenet-resnet{depth}" for depth in BLOCKS),
    *(f"preact-resnet{depth}" for depth in BLOCKS),
    *(f"densenet{depth}" for depth in (40, 76, 100)),
    *(f"wrn-{size}" for size in ("16-4", "28-10", "40-4")),
    *(f"vgg{depth}" for depth in (11, 13, 16, 19)),
    "small-cnn",
)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network."""

    name: str = "resnet20"
    """resnetDEPTH, a CIFAR residual network of DEPTH = 6n+2 layers: resnet20, resnet32, resnet110, …;
    imagenet-resnetDEPTH or preact-resnetDEPTH, one for photographs, of 18, 34, 50, 101 or 152 layers, activated after
    each addition or before each convolution; densenetDEPTH, a DenseNet-BC of 6n+4 layers; wrn-DEPTH-FACTOR, a wide
    residual network of 6n+4 layers; vgg11, 13, 16 or 19; small-cnn, two convolutions for small grey images."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own network's arguments."""

    shortcut: Literal["A", "B", "C"] | None = None
    """Where the shape changes: A (the CIFAR networks' default) pads with zeros, B (the others') projects by a 1×1
    convolution; C projects in every block."""

    batch_norm: Literal["before", "after"] = "before"
    """A CIFAR network's block: its second batch norm before or after the addition."""

    last_relu: bool = True
    """A CIFAR network's block: whether it ends with a ReLU."""

    width: int | None = None
    """Channels of the first stage (a bottleneck's end has four times as many); 16 in a CIFAR network, 32 in small-cnn,
    otherwise 64 (a VGG's first convolution). A DenseNet's growth: 12."""

    stem: Literal["imagenet", "small"] | None = None
    """The first layers of an imagenet-resnet (default "imagenet": a 7×7 convolution and a maximum, a quarter of the
    image's side) or of a preact-resnet (default "small": a 3×3 convolution, the whole side)."""

    recompute: Annotated[bool, OPERATIONAL] = False
    """Keep the activations of few blocks (about 2√n of n) and compute the others again: less memory, a third slower.
    Not for small-cnn."""


def check_model(options: ModelOptions) -> None:
    """Refuse what is no network."""
    with torch.device("meta"):
        build_model(options, classes=2, in_channels=3)


def build_model(options: ModelOptions, *, classes: int, in_channels: int) -> Classifier:
    """The network that `options` describe, with PyTorch's own initial weights (see `initialise`).

    Raises:
        InputError: The name is unknown, there is no such depth, or an option is out of range or not the network's.
    """
    network = _plain(options, classes, in_channels)
    if options.recompute:
        assert isinstance(network.blocks, nn.Sequential), "every network but small-cnn has blocks in sequence"
        network.blocks = Recomputed(network.blocks)
    return network


def _plain(options: ModelOptions, classes: int, in_channels: int) -> Classifier:
    """The network with all its activations kept."""
    if options.name == "small-cnn":
        _refuse(options, "shortcut", "batch_norm", "last_relu", "stem", "recompute")
        return SmallCnn(classes, in_channels=in_channels, width=32 if options.width is None else options.width)
    if match := re.fullmatch(r"densenet(\d+)", options.name):
        _refuse(options, "shortcut", "batch_norm", "last_relu", "stem")
        growth = 12 if options.width is None else options.width
        return DenseNet(int(match[1]), classes, in_channels=in_channels, growth=growth)
    if match := re.fullmatch(r"wrn-(\d+)-(\d+)", options.name):
        _refuse(options, "shortcut", "batch_norm", "last_relu", "width", "stem")
        return WideResNet(int(match[1]), int(match[2]), classes, in_channels=in_channels)
    if match := re.fullmatch(r"vgg(\d+)", options.name):
        _refuse(options, "shortcut", "batch_norm", "last_relu", "stem")
        width = 64 if options.width is None else options.width
        return Vgg(int(match[1]), classes, in_channels=in_channels, width=width)
    match = re.fullmatch(r"(imagenet-|preact-)?resnet(\d+)", options.name)
    if match is None:
        raise unknown_name("model", options.name, _EXAMPLES)
    family, depth = match[1], int(match[2])
    if family is None:
        return _cifar(options, depth, classes, in_channels)
    _refuse(options, "batch_norm", "last_relu")
    preactivation = family == "preact-"
    stem = options.stem
    if stem is None:
        stem = "small" if preactivation else "imagenet"
    return ImageNetResNet(
        depth,
        classes,
        in_channels=in_channels,
        width=64 if options.width is None else options.width,
        shortcut="B" if options.shortcut is None else options.shortcut,
        preactivation=preactivation,
        stem=stem,
    )


def _cifar(options: ModelOptions, depth: int, classes: int, in_channels: int) -> CifarResNet:
    _refuse(options, "stem")
    if depth in BLOCKS and (depth - 2) % 6:
        raise InputError(
            f"a CIFAR residual network's depth must be 6n+2, got {depth}. "
            f'Did you mean "imagenet-{options.name}" or "preact-{options.name}"?'
        )
    return CifarResNet(
        depth,
        classes,
        in_channels=in_channels,
        width=16 if options.width is None else options.width,
        shortcut="A" if options.shortcut is None else options.shortcut,
        batch_norm=options.batch_norm,
        last_relu=options.last_relu,
    )


def _refuse(options: ModelOptions, *lacking: str) -> None:
    """Refuse any value but the default for the options that the network lacks."""
    for option in lacking:
        value = getattr(options, option)
        if value != getattr(ModelOptions(), option):
            raise InputError(f"{options.name} has no option model.{option}, got {value}")


def check_image_size(network: Classifier, height: int, width: int) -> None:
    """Refuse images that the network would shrink to nothing.

    Raises:
        InputError: A side is smaller than the network's stride.
    """
    if min(height, width) < network.stride:
        raise InputError(f"images must be at least {network.stride} pixels wide and high, got {width}x{height}")
