"""The data sets that are known by name, and what is customary for each."""

from dataclasses import dataclass, replace

from truelift.data.options import AugmentationOptions
from truelift.errors import InputError


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
NAMED = {
    "digits": NamedSet(repository=None, crop_padding=1, flip=False),
    "cifar10": NamedSet(repository="uoft-cs/cifar10", crop_padding=4, flip=True),
    "cifar100": NamedSet(repository="uoft-cs/cifar100", label_column="fine_label", crop_padding=4, flip=True),
    "mnist": NamedSet(repository="ylecun/mnist", crop_padding=2, flip=False),
    "imagenet": NamedSet(repository=None, crop_padding=4, flip=True),  # from a path: it may not be handed on
    "tiny-imagenet": NamedSet(repository="zh-plus/tiny-imagenet", crop_padding=8, flip=True),
}

# The least area of a photograph's random box, as ImageNet is trained since GoogLeNet.
_STREAMED_AREA = 0.08

_OTHER = NamedSet(repository=None, crop_padding=4, flip=True)


def defaults(name: str) -> AugmentationOptions:
    """The augmentation customary for the data set `name`; crop padding 4 and flip for a name that is not known."""
    known = NAMED.get(name, _OTHER)
    return AugmentationOptions(crop_padding=known.crop_padding, flip=known.flip)


def resolve_augmentation(options: AugmentationOptions, data_name: str, *, stream: bool = False) -> AugmentationOptions:
    """`options` with each None replaced by the data set's own default, so that the result says all that is done.

    A resized crop takes the place of the data set's crop: crop_padding is then 0. Photographs that are streamed are
    always cropped so, as they have no common size to begin with.

    Raises:
        InputError: An option is out of range, or both kinds of crop are given.
    """
    _check(options)
    if options.names and options.views is not None:
        raise InputError(f"augmentation.names must be left out with augmentation.views, got {', '.join(options.names)}")
    if stream:
        if options.crop_padding or options.views is not None:
            name = "crop_padding" if options.crop_padding else "views"
            raise InputError(f"augmentation.{name} must be left out with data.stream, got {getattr(options, name)}")
        options = replace(options, resized_crop_area=options.resized_crop_area or _STREAMED_AREA)
    customary = defaults(data_name)
    if options.resized_crop_area is not None:
        customary = replace(customary, crop_padding=0)
    return replace(
        options,
        crop_padding=customary.crop_padding if options.crop_padding is None else options.crop_padding,
        flip=customary.flip if options.flip is None else options.flip,
    )


def _check(options: AugmentationOptions) -> None:
    area = options.resized_crop_area
    rules = [
        ("crop_padding", (options.crop_padding or 0) >= 0, "at least 0"),
        ("resized_crop_area", area is None or 0 < area <= 1, "in (0, 1]"),
        ("colour_jitter", 0 <= options.colour_jitter <= 1, "in [0, 1]"),
        ("lighting", 0 <= options.lighting < float("inf"), "at least 0 and finite"),
        ("cutout", options.cutout >= 0, "at least 0"),
        ("views", options.views is None or options.views >= 1, "at least 1"),
    ]
    for field, holds, rule in rules:
        if not holds:
            raise InputError(f"augmentation.{field} must be {rule}, got {getattr(options, field)}")
    if area is not None and options.crop_padding:
        raise InputError(
            "augmentation.crop_padding must be 0, or left out, with augmentation.resized_crop_area "
            f"(an image is cropped in one way), got {options.crop_padding} and {area}"
        )
