"""What a user can say about the images: where they come from, how they are split and augmented."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from truelift.data.augmentations import ChangeOptions
from truelift.options import OPERATIONAL, POSITIVE


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the images come from and how they are split."""

    name: str = "digits"
    """Data set: digits (bundled), cifar10, cifar100, mnist, tiny-imagenet; with --data.path any name."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own data source's arguments."""

    path: Annotated[str | None, OPERATIONAL] = None
    """Read from here, not from the hub: a parquet file or a webdataset shard (.tar), a folder of either, or a folder of
    class folders."""

    image_column: Annotated[str | None, OPERATIONAL] = None
    """Parquet column with the images; found by itself where only one can be meant."""

    label_column: Annotated[str | None, OPERATIONAL] = None
    """Parquet column with the labels; found by itself where only one can be meant."""

    train_images: int | None = None
    """Keep only so many training images, the same share of each class, chosen by the split seed. A validation set that
    has to be cut is cut from these."""

    test_images: int | None = None
    """Keep only so many test images, the same share of each class; the same ones whatever the seed."""

    validation_fraction: float = 0.1
    """Share of the training images cut off, class by class, for validation where the data has no validation set; in
    [0, 1), 0 for none."""

    validation_images: int | None = None
    """In place of validation_fraction: the last so many training images, in the data's order, whatever the seed, where
    the data has no validation set."""

    test_fraction: float = 0.2
    """Share of the training images cut off first, class by class, for the test where the data has no test set; in
    (0, 1). The same images whatever the seed."""

    resize: int | None = None
    """Resize the shorter side to so many pixels and crop the centre square. With stream: the square's side, in training
    (a random box) and evaluation (the centre)."""

    stream: bool = False
    """Decode photographs batch by batch in other processes, not all at once into memory; with a random resized crop."""

    workers: Annotated[int | None, OPERATIONAL] = None
    """stream: processes that decode, 0 for none but the training's own. Default: the run's CPU threads."""

    evaluation_crop: float = 0.875
    """stream: the share of the shorter side that evaluation keeps, in (0, 1]; 0.875 is 224 of 256."""

    progressive: tuple[int, ...] | None = None
    """stream: the side of the training images in each equal part of the training, such as 128 176 224; evaluation is at
    resize throughout. Default: resize."""

    on_error: Annotated[Literal["stop", "skip"], OPERATIONAL] = "stop"
    """What to do with an image that cannot be decoded: stop and name it, or skip and count it."""

    split_seed: int | None = None
    """Seed of the split. By default it follows the experiment's seed, so that a study varies it too."""


@dataclass(frozen=True, kw_only=True)
class PreprocessingOptions:
    """From pixels to the network's input, by figures of the training images."""

    name: Literal["channels", "none", "mean-image", "zca"] = "channels"
    """channels: each channel minus its mean, over its standard deviation. none: pixels/255. mean-image: minus the mean
    image, over one standard deviation. zca: the same, then whitened."""

    epsilon: Annotated[float, POSITIVE] = 0.1
    """zca: added to every variance, in units of the mean variance of a pixel; above 0."""


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(ChangeOptions):
    """Random changes to the training images, drawn anew for each image of each batch."""

    crop_padding: int | None = None
    """Pad each side with so many zero pixels and crop back at a random place. Default: the data set's own (CIFAR 4),
    or 0 with resized_crop_area."""

    resized_crop_area: float | None = None
    """In place of crop_padding: stretch a random box to the image's size, of so much of the area at least, in (0, 1];
    ImageNet is customarily trained with 0.08, the default with data.stream."""

    flip: bool | None = None
    """Mirror every second image on average. Default: the data set's own (CIFAR yes, digits no)."""

    colour_jitter: float = 0.0
    """Brightness, contrast and saturation each times a random factor at most so far from 1; in [0, 1], colours only."""

    lighting: float = 0.0
    """AlexNet's noise along the principal components of ImageNet's colours, with this standard deviation (0.1 there);
    at least 0, colours only."""

    cutout: int = 0
    """Side, in pixels, of one square put to the mean colour at a random place; 0 for none."""

    views: int | None = None
    """Draw the changes to each image only so often, at least once: so many views of all images, an epoch each in turn,
    which take memory like so many data sets. Default: new changes each epoch."""

    @property
    def anew(self) -> bool:
        """Whether an image is shown otherwise in each epoch; for options that are resolved."""
        changes = self.crop_padding, self.resized_crop_area, self.flip, self.colour_jitter, self.lighting, self.cutout
        return self.views is None and any((*changes, self.names))
