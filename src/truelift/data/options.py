"""What a user can say about the images: where they come from, how they are split and decoded."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from truelift.data.columns import ColumnOptions
from truelift.data.named import NAMED
from truelift.data.order import SamplingOptions
from truelift.data.photographs import StreamOptions
from truelift.data.splits import SplitOptions
from truelift.errors import InputError
from truelift.options import OPERATIONAL, Conflict, check, without_shared_fields
from truelift.own import is_import_path

DIGITS = "digits"
"""The bundled data set, the default."""


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class DataOptions(ColumnOptions, SplitOptions, SamplingOptions, StreamOptions):
    """Where the images come from and how they are split."""

    name: str = DIGITS
    """Data set: digits (bundled), cifar10, cifar100, mnist, tiny-imagenet; with --data.path imagenet or any name. Or
    your own, as package.module:name or file.py:name, a function that gives the images: see truelift.data.own_source."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own data set's arguments: --data.args.NAME VALUE."""

    path: Annotated[str | None, OPERATIONAL] = None
    """Read from here, not from the hub: a folder of class folders, or zip or tar files of them; a table (.csv, .tsv,
    .jsonl, .txt) with files and labels, or a folder with some; parquet files, webdataset shards (.tar) or what
    save_to_disk wrote (.arrow), or a folder of one of these."""

    folders: Literal["auto", "classes"] = "auto"
    """Class folders. auto: folders named train, val, test and the like are splits. classes: every folder is a class,
    whatever its name."""

    unlabelled_test: Literal["stop", "cut"] = "stop"
    """A test set without labels can be predicted, not judged. stop: refuse it. cut: set it aside, and split a test set
    off the training images (test_fraction)."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield from ColumnOptions.conflicts(self)
        yield from SplitOptions.conflicts(self)
        yield from StreamOptions.conflicts(self)
        yield "stream", not self.stream or self.path is not None or self.name != DIGITS, "false for the digits"
        yield "folders", self.folders == "auto" or self.path is not None, "auto without data.path"
        mine = is_import_path(self.name)
        yield "path", self.path is None or not mine, "left out where data.name is your own (give it in data.args)"
        yield "args", mine or not self.args, "left out where data.name is none of your own"


def resolve_data(options: DataOptions) -> DataOptions:
    """`options`, checked as far as can be without reading files, with paths absolute and a name for the data's.

    Where there is a path and no name, the path's last part is the name.

    Raises:
        InputError: An option is out of range, two are at odds, or the data set is unknown.
    """
    check(options, "data.")
    if options.path is None:
        if options.name not in NAMED and not is_import_path(options.name) and Path(options.name).exists():
            told = f"a file or folder is given as --data.path {options.name}"
            raise InputError(f'unknown data set "{options.name}": {told}.')
        NAMED.find(options.name)
        return options
    path = Path(options.path).expanduser().absolute()
    # A colon would make an import path of it.
    named = path.name.replace(":", "_") if options.name == DIGITS else options.name
    images = None if options.image_folder is None else str(Path(options.image_folder).expanduser().absolute())
    return replace(options, path=str(path), name=named, image_folder=images)
