"""The data sets that are known by name, and what is customary for each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from truelift.data.augmentations import AugmentationOptions
from truelift.options import Registry, check, refuse


@dataclass(frozen=True, kw_only=True)
class NamedSet:
    """What a name stands for.

    Attributes:
        repository: The data set on the Hugging Face hub; None for the bundled digits.
        label_column: The label meant by the name, where the files have more than one.
        crop_padding: Zero pixels padded to each side before the random crop.
        flip: Whether a mirrored image is still of its class.
    """

    repository: str | None
    label_column: str | None = None
    crop_padding: int
    flip: bool


# CIFAR's padding and flip are those of He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2;
# the other paddings keep about its share of the side. A mirrored digit is no digit.
NAMED: Registry[NamedSet | Callable[..., Any]] = Registry(
    "data set",
    {
        "digits": NamedSet(repository=None, crop_padding=1, flip=False),
        "cifar10": NamedSet(repository="uoft-cs/cifar10", crop_padding=4, flip=True),
        "cifar100": NamedSet(repository="uoft-cs/cifar100", label_column="fine_label", crop_padding=4, flip=True),
        "mnist": NamedSet(repository="ylecun/mnist", crop_padding=2, flip=False),
        "imagenet": NamedSet(repository=None, crop_padding=4, flip=True),  # from a path: it may not be handed on
        "tiny-imagenet": NamedSet(repository="zh-plus/tiny-imagenet", crop_padding=8, flip=True),
    },
)
"""By name; or a user's own, by import path."""

# The least area of a photograph's random box, as ImageNet is trained since GoogLeNet.
_STREAMED_AREA = 0.08

_OTHER = NamedSet(repository=None, crop_padding=4, flip=True)


def defaults(name: str) -> AugmentationOptions:
    """The augmentation customary for the data set `name`; crop padding 4 and flip for a name that is not known."""
    known = NAMED.get(name, _OTHER)
    assert isinstance(known, NamedSet), "an import path is no key"
    return AugmentationOptions(crop_padding=known.crop_padding, flip=known.flip)


def resolve_augmentation(options: AugmentationOptions, data_name: str, *, stream: bool = False) -> AugmentationOptions:
    """`options` with each None replaced by the data set's own default, so that the result says all that is done.

    A resized crop takes the place of the data set's crop: crop_padding is then 0. Photographs that are streamed are
    always cropped so, as they have no common size to begin with.

    Raises:
        InputError: An option is out of range, or both kinds of crop are given.
    """
    check(options, "augmentation.")
    if stream:
        without = "left out with data.stream"
        rules = [("crop_padding", not options.crop_padding, without), ("views", options.views is None, without)]
        refuse(options, rules, "augmentation.")
        options = replace(options, resized_crop_area=options.resized_crop_area or _STREAMED_AREA)
    customary = defaults(data_name)
    if options.resized_crop_area is not None:
        customary = replace(customary, crop_padding=0)
    return replace(
        options,
        crop_padding=customary.crop_padding if options.crop_padding is None else options.crop_padding,
        flip=(customary.flip or options.alternating_flip) if options.flip is None else options.flip,
    )
