"""A digest of a data set's state, of names, sizes, labels and counts; no image is decoded."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from truelift.data.files import is_regular
from truelift.data.listing import Source

_MOST_BYTES = 2**28
"""Of an array's values that are looked at; of a larger one, images evenly from all."""

_MOST_READ = 2**26
"""Of files: sets of no more bytes are read, so that no change is missed."""


@dataclass(frozen=True)
class DataState:
    """The state of a data set when it was read; equal for the same data wherever it lies."""

    digest: str
    """Sixteen hexadecimal digits, from all fields below and from the images' names, sizes and labels."""
    images: dict[str, int]
    """How many there are, by split."""
    classes: int
    left_out: int
    """Images that belong to no class."""

    def record(self) -> dict[str, Any]:
        """As environment.json has it."""
        return asdict(self)


def state_of(source: Source) -> DataState:
    """The state of a data set. Of image files it reads each file's size, and of small sets the files too."""
    listings = {"train": source.train, "validation": source.validation, "test": source.test}
    listings["unlabelled test"] = source.unlabelled
    there = {split: listing for split, listing in listings.items() if listing is not None}
    sha = hashlib.sha256(repr((source.classes, len(source.left_out))).encode())
    for split, listing in there.items():
        sha.update(f"{split} {len(listing.labels)} ".encode() + hashlib.sha256(listing.labels.tobytes()).digest())
        sha.update(b"" if listing.content is None else listing.content())
    images = {split: len(listing.labels) for split, listing in there.items()}
    return DataState(sha.hexdigest()[:16], images, len(source.classes), len(source.left_out))


def of_files(names: Sequence[str]) -> bytes:
    """A digest of files' names, as from the folder that they share, and their sizes; of small sets their bytes too."""
    sha = hashlib.sha256()
    sizes = [_size(name) for name in names]
    beginning = len(os.path.commonpath([os.path.dirname(name) for name in names])) if names else 0
    for name, size in zip(names, sizes, strict=True):
        sha.update(f"{name[beginning:]}\0{size}\n".encode(errors="surrogateescape"))
    if sum(sizes) <= _MOST_READ:
        for name in names:
            sha.update(_bytes(name))
    return sha.digest()


def of_times(names: Sequence[str]) -> bytes:
    """A digest of when files were last changed, if they are too large for `of_files` to read; else nothing."""
    found = []
    for name in names:
        try:
            about = os.stat(name)
        except OSError:
            continue
        found.append((about.st_size, about.st_mtime_ns))
    large = sum(size for size, _ in found) > _MOST_READ
    return hashlib.sha256(repr(found).encode()).digest() if large else b""


def of_rows(names: Iterable[str], *columns: np.ndarray[Any, Any]) -> bytes:
    """A digest of images' names and of columns of numbers about them."""
    sha = hashlib.sha256("\n".join(names).encode(errors="surrogateescape"))
    for column in columns:
        sha.update(b"\0" + column.tobytes())
    return sha.digest()


def of_arrays(images: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """A digest of images in memory: shapes and values, of many images a part."""
    values = sum(image.nbytes for image in images)
    every = max(1, -(-values // _MOST_BYTES))
    sha = hashlib.sha256(str(len(images)).encode())
    name = cache(str)  # of a type, which numpy makes up each time
    for image in images[::every]:
        sha.update(f"{image.shape} {name(image.dtype)}".encode() + image.tobytes())
    return sha.digest()


def _bytes(name: str) -> bytes:
    try:
        if not is_regular(name):  # a pipe would be waited for
            return b""
        with open(name, "rb") as file:
            return file.read(_MOST_READ)
    except OSError:  # decoding reports it
        return b""


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return -1
