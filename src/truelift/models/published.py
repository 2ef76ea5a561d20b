"""The weights that torchvision and timm publish for ResNet-18, 34, 50, 101 and 152: the same names in both."""

import re
from collections.abc import Mapping

from torch import Tensor

from truelift.errors import InputError
from truelift.models.imagenet_resnet import ImageNetResNet
from truelift.models.weights import copy_by_name

_KEY_MAP = (
    (r"^stem\.0\.", "conv1."),
    (r"^stem\.1\.", "bn1."),
    (r"^blocks\.stage(\d+)_block(\d+)\.", r"layer\1.\2."),
    (r"\.shortcut\.", ".downsample."),
    (r"^head\.", "fc."),
)
"""From a name here to the published name; what no line matches (conv1, bn1, … of a block) is the same."""


def published_name(name: str) -> str:
    """The name that torchvision and timm have for a tensor of `ImageNetResNet`.

    >>> published_name("blocks.stage2_block0.shortcut.1.running_mean")
    'layer2.0.downsample.1.running_mean'
    """
    for ours, theirs in _KEY_MAP:
        name = re.sub(ours, theirs, name)
    return name


def load_published(network: ImageNetResNet, state_dict: Mapping[str, Tensor]) -> None:
    """Copy a published state dict into a network of the same depth, in place.

    Args:
        network: With shortcut B, the ImageNet stem, width 64, activation after the addition, as many classes and
            channels of the images as the published one has.
        state_dict: What torchvision's or timm's file holds.

    Raises:
        InputError: The network is of another kind, or a tensor is missing, left over or of another shape; the network
            is as before.
    """
    check_publishable(network)
    copy_by_name(network, state_dict, published_name, "the state dict")


def check_publishable(network: ImageNetResNet) -> None:
    """Refuse a network of another kind than the published ones.

    Raises:
        InputError: It is.
    """
    for option, wanted, had in (
        ("shortcut", "B", network.shortcut),
        ("stem", "imagenet", network.stem_kind),
        ("width", 64, network.width),
        ("preactivation", False, network.preactivation),
    ):
        if had != wanted:
            raise InputError(f"published weights are for {option} = {wanted!r}, the network's is {had!r}")
