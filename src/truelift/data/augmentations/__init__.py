"""Random changes to training batches: crop, flip and the like (`data/augment.py`), then further ones by name.

To add one: a file with its options, ranges and `build` function, and its line in `CHANGES`; options of its own join
`ChangeOptions`. Such a file may be a technique's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from truelift.data.augment import StandardOptions
from truelift.data.augmentations import own
from truelift.data.augmentations.base import Change, Changes, batch_seed
from truelift.options import Conflict, OneOf, Registry, at_least, without_shared_fields
from truelift.own import is_import_path
from truelift.techniques import cutmix, mixup, random_erasing, trivial_augment

CHANGES: Registry[Any] = Registry(
    "augmentation",
    {
        "mixup": mixup.build,
        "cutmix": cutmix.build,
        "random-erasing": random_erasing.build,
        "trivial-augment": trivial_augment.build,
    },
)


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class ChangeOptions(
    mixup.MixupOptions, cutmix.CutMixOptions, random_erasing.RandomErasingOptions, trivial_augment.TrivialAugmentOptions
):
    """Further changes, after crop, flip and the like."""

    names: Annotated[tuple[str, ...], OneOf(CHANGES)] = ()
    """Further changes to the training batches, in this order. Or your own, package.module:name or file.py:name, at most
    one."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own change's arguments: --augmentation.args.NAME VALUE."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield "names", len(set(self.names)) == len(self.names), "different ones"
        yield "names", sum(map(is_import_path, self.names)) <= 1, "names of which one at most is an import path"


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(ChangeOptions, StandardOptions):
    """Random changes to the training images, drawn for each image of each batch."""

    views: Annotated[int | None, at_least(1, 100_000)] = None
    """Number of augmented views to compute beforehand for each image, at least 1. Epochs use them in turn. Each takes
    as much memory as the data set. Default: new changes in each epoch."""

    @property
    def anew(self) -> bool:
        """Whether an image is shown otherwise in each epoch; for options that are resolved."""
        changes = self.crop_padding, self.resized_crop_area, self.flip, self.colour_jitter, self.lighting, self.cutout
        return self.views is None and any((*changes, self.names))

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield from StandardOptions.conflicts(self)
        yield from ChangeOptions.conflicts(self)
        yield "names", self.views is None or not self.names, "left out with augmentation.views"


def build_changes(options: ChangeOptions, classes: int) -> Changes:
    """The changes that `options` name, for K classes.

    Raises:
        InputError: A user's own one cannot be built.
    """
    built: list[tuple[str, Change]] = []
    for name in options.names:
        found = CHANGES.find(name)
        if is_import_path(name):
            built.append((name.rpartition(":")[2], own.build(name, found, options.args, classes)))
        else:
            built.append((name, found(options, classes)))
    return Changes(built)


__all__ = ["CHANGES", "AugmentationOptions", "Change", "ChangeOptions", "Changes", "batch_seed", "build_changes"]
