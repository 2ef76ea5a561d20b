"""What a user can say about the images: where they come from, how they are split and augmented."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the images come from and how they are split."""

    name: str = "digits"
    """Data set: digits (bundled), cifar10, cifar100, mnist, tiny-imagenet; with --data.path any name."""

    path: str | None = None
    """Read from here, not from the hub: a parquet file, a folder of parquet files, or a folder of class folders."""

    image_column: str | None = None
    """Parquet column with the images; found by itself where only one can be meant."""

    label_column: str | None = None
    """Parquet column with the labels; found by itself where only one can be meant."""

    train_images: int | None = None
    """Keep only so many training images, the same share of each class, chosen by the split seed. A validation set that
    has to be cut is cut from these."""

    test_images: int | None = None
    """Keep only so many test images, the same share of each class; the same ones whatever the seed."""

    validation_fraction: float = 0.1
    """Share of the training images cut off, class by class, for validation where the data has no validation set; in
    [0, 1), 0 for none."""

    test_fraction: float = 0.2
    """Share of the training images cut off first, class by class, for the test where the data has no test set; in
    (0, 1). The same images whatever the seed."""

    resize: int | None = None
    """Resize the shorter side to so many pixels and crop the centre square."""

    on_error: Literal["stop", "skip"] = "stop"
    """What to do with an image that cannot be decoded: stop and name it, or skip and count it."""

    split_seed: int | None = None
    """Seed of the split. By default it follows the experiment's seed, so that a study varies it too."""


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions:
    """Random changes to the training images, drawn anew for each image of each batch."""

    crop_padding: int | None = None
    """Pad each side with so many zero pixels and crop back at a random place. Default: the data set's own (CIFAR 4),
    or 0 with resized_crop_area."""

    resized_crop_area: float | None = None
    """In place of crop_padding: stretch a random box to the image's size, of so much of the area at least, in (0, 1];
    ImageNet is customarily trained with 0.08."""

    flip: bool | None = None
    """Mirror every second image on average. Default: the data set's own (CIFAR yes, digits no)."""

    colour_jitter: float = 0.0
    """Brightness, contrast and saturation each times a random factor at most so far from 1; in [0, 1], colours only."""

    lighting: float = 0.0
    """AlexNet's noise along the principal components of ImageNet's colours, with this standard deviation (0.1 there);
    at least 0, colours only."""

    cutout: int = 0
    """Side, in pixels, of one square put to the mean colour at a random place; 0 for none."""
