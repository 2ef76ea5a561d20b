"""The images at a path whatever they show: of every split, with labels or without. N images."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from truelift.data.columns import UnclearError
from truelift.data.dataset import Images, ImageSet
from truelift.data.decode import first_deep, is_bright, require_bright
from truelift.data.decoded import decode_splits
from truelift.data.files import walk
from truelift.data.image_files import first_image, is_image, list_files
from truelift.data.layouts import read_path
from truelift.data.listing import IntArray, Listing, Opener
from truelift.data.options import DataOptions
from truelift.data.photographs import find_photographs
from truelift.data.shards import shard_files
from truelift.errors import InputError, one_line


def load_any(path: Path, options: DataOptions, *, most: int) -> Images:
    """Images as evaluation with these options sees them, in their order: stored sets are often sorted by class.

    Args:
        path: A folder of images at any depth; or one of parquet files, or such a file, with labels or without; or what
            else `read_path` reads, with labels.
        options: How they are decoded (`DecodeOptions`, `StreamOptions`); where they come from is not looked at.
        most: Of more than these, so many evenly from all; at least 1.

    Returns:
        Those that can be decoded, N or `most` of them; every label is −1.

    Raises:
        InputError: There is no image, one cannot be read, or they differ in size and are not resized; or as
            `require_bright`.
    """
    listing = _listing(path)
    count = len(listing.labels)
    if not count:
        raise InputError(f"no image found: {path} has no row")
    chosen = np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
    if options.stream:
        photographs = find_photographs(listing, chosen, options)
        if first_deep(listing, chosen) is not None:
            photographs.histogram()  # which refuses dark ones
        return photographs
    pixels, labels = decode_splits({"any": (listing, chosen)}, options)["any"]
    if not is_bright(pixels):
        require_bright(listing, chosen)
    return ImageSet(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels))


def digest_any(path: Path) -> str:
    """Sixteen hexadecimal digits that change with the images that `load_any` reads, wherever they lie; none is decoded.

    Raises:
        InputError: They cannot be found or read.
    """
    listing = _listing(path)
    sha = hashlib.sha256(str(len(listing.labels)).encode())
    sha.update(b"" if listing.content is None else listing.content())
    return sha.hexdigest()[:16]


def _listing(path: Path) -> Listing:
    try:
        return _Joined(_listings(path)).listing()
    except UnclearError as error:  # the options are those of other data
        advice = "give a folder of the image files alone, or a parquet file with one column of images"
        raise InputError(f"{path} cannot be read: {error.problem}; {advice}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error


def _listings(path: Path) -> Sequence[Listing]:
    from truelift.data.parquet import list_parquet, parquet_files  # which imports pyarrow

    if path.is_dir() and not shard_files(path):
        if parquet_files(path):
            return [list_parquet(path)]
        if first_image(path) is not None:
            files = sorted(str(file) for file in walk(path) if is_image(file))
            return [list_files(files, np.full(len(files), -1, dtype=np.int64))]
    elif path.suffix.lower() == ".parquet":
        return [list_parquet(path)]
    source = read_path(path, DataOptions())
    parts = (source.train, source.validation, source.test, source.unlabelled)
    return [part for part in parts if part is not None]


@dataclass(frozen=True)
class _Joined:
    """Several listings as one, without their labels."""

    parts: Sequence[Listing]

    @property
    def starts(self) -> IntArray:
        """The first image of each, and the end of the last."""
        return np.cumsum([0, *(len(part.labels) for part in self.parts)])

    def listing(self) -> Listing:
        """All images, the first listing's first."""
        known = all(part.content is not None for part in self.parts)
        labels = np.full(int(self.starts[-1]), -1, dtype=np.int64)
        return Listing(labels, self.openers, self.place, self.content if known else None, self.files)

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        starts = self.starts
        for part, start, end in zip(self.parts, starts, starts[1:], strict=False):
            mine = indices[(indices >= start) & (indices < end)]
            yield from part.openers(mine - start)

    def place(self, index: int) -> str:
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.parts[number].place(index - int(self.starts[number]))

    def content(self) -> bytes:
        return b"".join(part.content() for part in self.parts if part.content is not None)

    def files(self) -> list[str]:
        return [name for part in self.parts for name in part.files()]
