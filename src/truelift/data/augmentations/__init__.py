"""Random changes to the training images: crop, flip and the like (`data/augment.py`), then others by name.

To add one: a file with its options, ranges and `build(options, around) -> Change`, and its line in `AUGMENTATIONS`;
options of its own join `AugmentationOptions`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from truelift.data.augment import StandardOptions
from truelift.data.augmentations import own
from truelift.data.augmentations.base import Around, Change, Stage
from truelift.data.augmentations.changes import Changes
from truelift.options import Conflict, OneOf, Registry, at_least, without_shared_fields
from truelift.own import is_import_path

AUGMENTATIONS: Registry[Callable[..., Any]] = Registry("augmentation", {})


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(StandardOptions):
    """Random changes to the training images, drawn anew for each image of each batch."""

    views: Annotated[int | None, at_least(1, 100_000)] = None
    """Draw the changes to each image only so often, at least once: so many views of all images, an epoch each in turn,
    which take memory like so many data sets. Default: new changes each epoch."""

    names: Annotated[tuple[str, ...], OneOf(AUGMENTATIONS)] = ()
    """Further changes, made after all others, in this order: your own, as package.module:name or file.py:name."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own change's arguments: --augmentation.args.NAME VALUE."""

    @property
    def anew(self) -> bool:
        """Whether an image is shown otherwise in each epoch; for options that are resolved."""
        changes = self.crop_padding, self.resized_crop_area, self.flip, self.colour_jitter, self.lighting, self.cutout
        return self.views is None and any((*changes, self.names))

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield from super().conflicts()
        yield "names", len(set(self.names)) == len(self.names), "different names, each once"
        own_names = sum(map(is_import_path, self.names))
        yield "args", not self.args or own_names > 0, "left out where augmentation.names has none of your own"
        yield "args", not self.args or own_names <= 1, "left out where augmentation.names has several of your own"


def build(options: AugmentationOptions, around: Around) -> Changes:
    """The further changes that `options` name.

    Raises:
        InputError: A name is unknown, or a user's own one cannot be built.
    """
    named = []
    for name in options.names:
        found = AUGMENTATIONS.find(name)
        if is_import_path(name):
            change: Change = own.build(name, found, options.args, around)
        else:
            change = found(options, around)
        named.append((name, change))
    return Changes(named, around.classes)


__all__ = ["AUGMENTATIONS", "Around", "AugmentationOptions", "Change", "Changes", "Stage", "build"]
