"""From a name and options to a network.

To add a network: a file with its options, checks and build function as a `Family`, its line in `FAMILIES`, and its
options among the bases of `ModelOptions`. A change that any built network may get is a `Modifier`, and likewise.
"""

import dataclasses
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from truelift.errors import InputError, require, unknown_name
from truelift.models import (
    cifar_resnet,
    densenet,
    imagenet_resnet,
    recompute,
    short_cnn,
    small_cnn,
    stochastic_depth,
    vgg,
    wide_resnet,
)
from truelift.models.classifier import Classifier
from truelift.models.external import build_external, check_external
from truelift.models.family import Family
from truelift.models.modifier import Modifier
from truelift.models.start import check_start, start_from
from truelift.options import check, without_shared_fields
from truelift.own import is_import_path

FAMILIES: tuple[Family, ...] = (
    cifar_resnet.FAMILY,
    imagenet_resnet.FAMILY,
    imagenet_resnet.PREACTIVATED_FAMILY,
    densenet.FAMILY,
    wide_resnet.FAMILY,
    vgg.FAMILY,
    small_cnn.FAMILY,
    short_cnn.FAMILY,
)

MODIFIERS: tuple[Modifier, ...] = (recompute.MODIFIER, stochastic_depth.MODIFIER)
"""In the order in which they are made."""


@dataclass(frozen=True, kw_only=True)
class NameOptions:
    """Which network, and where its weights come from."""

    name: str = "resnet20"
    """resnetDEPTH: with 18, 34, 50, 101 or 152 layers ImageNet's residual network (also imagenet-resnetDEPTH), with
    another DEPTH = 6n+2 CIFAR's: resnet20, resnet32, resnet110, …; cifar-resnetDEPTH is CIFAR's at every such depth
    (cifar-resnet50); preact-resnetDEPTH is ImageNet's activated before each convolution; densenetDEPTH, a DenseNet-BC
    of 6n+4 layers; wrn-DEPTH-FACTOR, a wide residual network of 6n+4 layers; vgg11, 13, 16 or 19; small-cnn, two
    convolutions for small grey images; short-cnn, seven convolutions, wide, for trainings of minutes on images of some
    32 pixels. Or your own, package.module:name or file.py:name: a callable that gives a torch.nn.Module from images to
    logits. timm:NAME and torchvision:NAME are those libraries' networks, if installed."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own network's arguments: --model.args.NAME VALUE. timm's pretrained weights: pretrained = true;
    torchvision's: weights = "DEFAULT"."""

    head: str | None = None
    """Your own network's classifier head, by its dotted name (blocks.3.fc), if it is not found automatically."""

    weights: str | None = None
    """A file of weights to start from (safetensors, or a state dict of torch.save), with the network's own names or,
    for an imagenet-resnet, torchvision's and timm's; or "published": torchvision's, for an imagenet-resnet. A head for
    another number of classes is initialised at random."""


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class ModelOptions(
    stochastic_depth.StochasticDepthOptions,
    recompute.RecomputeOptions,
    imagenet_resnet.ImageNetResNetOptions,
    cifar_resnet.CifarResNetOptions,
    short_cnn.ShortCnnOptions,
    NameOptions,
):
    """The network."""


_IMAGENET_NAMES = frozenset(f"resnet{depth}" for depth in imagenet_resnet.BLOCKS)
_OF_ALL = frozenset({"name", "weights"})
_DEFAULTS = ModelOptions()


def check_model(options: ModelOptions) -> None:
    """Refuse what can be known to be no network, or one that lacks an option, without building anything.

    A user's own network is imported, and its arguments are compared with what it takes.

    Raises:
        InputError: The name is unknown (the nearest is told), there is no such depth, an option is out of range or not
            the network's, or a file of weights is not there.
    """
    check(options, "model.")
    if is_import_path(options.name):
        _refuse_other_than(options, {"args", "head"})
        if options.weights is not None:
            check_start(options.weights, False, options.name)
        check_external(options.name, options.args)
        return
    options = dataclasses.replace(options, name=canonical(options.name))
    family, numbers = _find(options.name)
    _refuse_other_than(options, family.option_names | {m.option for m in MODIFIERS if m.needs in family.traits})
    made = [modifier for _, modifier in _wanted(options)]
    for modifier in made:
        if modifier.computes_again and (drawing := [other.option for other in made if other.draws]):
            name = f"model.{modifier.option}"
            require(name, getattr(options, modifier.option), False, f"left out where model.{drawing[0]} is given")
    family.check(options, *numbers)
    if options.weights is not None:
        check_start(options.weights, "published" in family.traits, options.name)


def build_model(
    options: ModelOptions, *, classes: int, in_channels: int, image_size: int | tuple[int, int] | None = None
) -> Classifier:
    """The network that `options` describe, with PyTorch's own initial weights (see `initialise`).

    A user's own network draws its weights from torch's generator: seed it before. `initialise` then leaves them as they
    are.

    Args:
        options: Need not be checked before.
        classes: K.
        in_channels: C.
        image_size: The side of the images, or height and width. Needed for a user's own network, which is tried out.

    Raises:
        InputError: As `check_model`; or a user's own network cannot be built or gives no logits, or a file of weights
            does not fit.
    """
    check_model(options)
    if is_import_path(options.name):
        assert image_size is not None, "the caller knows the images"
        return build_external(
            options.name,
            options.args,
            classes=classes,
            in_channels=in_channels,
            image_size=(image_size, image_size) if isinstance(image_size, int) else image_size,
            head=options.head,
            weights=options.weights,
        )
    family, numbers = _find(canonical(options.name))
    network = family.build(options, *numbers, classes=classes, in_channels=in_channels)
    if options.weights is not None:
        start_from(network, options.weights)
    for value, modifier in _wanted(options):
        modifier.apply(network, value)
    return network


def check_image_size(network: Classifier, height: int, width: int) -> None:
    """Refuse images that the network would shrink to nothing.

    Raises:
        InputError: A side is smaller than the network's stride.
    """
    if min(height, width) < network.stride:
        raise InputError(f"images must be at least {network.stride} pixels wide and high, got {width}x{height}")


def canonical(name: str) -> str:
    """The one name of a network that has several: what a run's identity holds.

    resnet18, 34, 50, 101 and 152 are ImageNet's; a CIFAR network's is short, except where ImageNet's has that depth.

    >>> canonical("resnet50"), canonical("cifar-resnet20"), canonical("cifar-resnet50")
    ('imagenet-resnet50', 'resnet20', 'cifar-resnet50')
    """
    if name in _IMAGENET_NAMES:
        return f"imagenet-{name}"
    short = name.removeprefix("cifar-")
    is_cifar = short != name and cifar_resnet.FAMILY.numbers(name) is not None
    return short if is_cifar and short not in _IMAGENET_NAMES else name


def earlier_meaning(name: str) -> str:
    """What a network's name meant in a record of before these names: resnet50 was CIFAR's.

    A record written since has canonical names alone, which this leaves as they are.
    """
    return f"cifar-{name}" if name in _IMAGENET_NAMES else name


def _find(name: str) -> tuple[Family, tuple[int, ...]]:
    """The family of a name, and the numbers in it."""
    for family in FAMILIES:
        if (numbers := family.numbers(name)) is not None:
            return family, numbers
    raise unknown_name("model", name, [example for family in FAMILIES for example in family.examples])


def _wanted(options: ModelOptions) -> Iterator[tuple[Any, Modifier]]:
    """The changes to be made, each with its option's value."""
    for modifier in MODIFIERS:
        value = getattr(options, modifier.option)
        if value != getattr(_DEFAULTS, modifier.option):
            yield value, modifier


def _refuse_other_than(options: ModelOptions, has: Set[str]) -> None:
    """Refuse any value but the default for the options that the network lacks."""
    for name in (option.name for option in dataclasses.fields(options)):
        value = getattr(options, name)
        if name not in _OF_ALL | has and value != getattr(_DEFAULTS, name):
            raise InputError(f"{options.name} has no option model.{name}, got {value}")
