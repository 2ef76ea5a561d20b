"""Webdataset shards: tar files in which KEY.jpg and KEY.cls, a class number as text, are one image."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from truelift.data.listing import IntArray, Listing, Opener, Source, number_names
from truelift.data.split_names import match_splits
from truelift.errors import InputError

_IMAGES = ("jpg", "jpeg", "png", "webp")


def shard_files(path: Path) -> list[Path]:
    """The tar files at `path`: itself, or those in the folder and its subfolders, sorted; empty where none."""
    if path.is_file():
        return [path] if path.suffix == ".tar" else []
    return sorted([*path.glob("*.tar"), *path.glob("*/*.tar")])


def read_shards(path: Path) -> Source:
    """The images of one shard, or of a folder of them; nothing is extracted.

    Files are matched to splits by their names (see `split_names`). A key is a member's name up to the first dot of its
    last part. Classes are named by `classes.txt` (a name a line) or `classes.json` (a list, or an object whose values
    are the names) beside the shards, in the order of their numbers; otherwise by their numbers. Members of other
    endings are left out.

    Args:
        path: A tar file, or a folder with some.

    Raises:
        InputError: A file is no uncompressed tar file, is cut off, or cannot be matched to a split; a key has an image
            and no class, or the other way round; a class is no number; or there is no image.
    """
    files = shard_files(path)
    by_split = {"train": files} if path.is_file() else match_splits(path, files)
    listings = {split: _list(files) for split, files in by_split.items()}
    train = listings["train"]
    if len(train.labels) == 0:
        raise InputError(f"no image found: {by_split['train'][0]} holds no KEY.jpg with a KEY.cls")
    classes = _class_names(path if path.is_dir() else path.parent)
    return Source(
        train, listings.get("validation"), listings.get("test"), number_names(train) if classes is None else classes
    )


class _Member(NamedTuple):
    offset: int
    size: int


@dataclass(frozen=True)
class _Members:
    """The images of several tar files: where the bytes of each begin, and how many there are."""

    files: Sequence[str]
    keys: Sequence[str]
    file_numbers: IntArray
    offsets: IntArray
    sizes: IntArray

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        return (partial(self._open, int(index)) for index in indices)

    def place(self, index: int) -> str:
        return f"{self.files[self.file_numbers[index]]} member {self.keys[index]}"

    def _open(self, index: int) -> Image.Image:
        with open(self.files[self.file_numbers[index]], "rb") as file:
            file.seek(self.offsets[index])
            return Image.open(io.BytesIO(file.read(self.sizes[index])))


def _list(files: Sequence[Path]) -> Listing:
    keys: list[str] = []
    rows: list[tuple[int, int, int, int]] = []
    for number, file in enumerate(files):
        images, classes = _members(file)
        for key, (offset, size) in images.items():
            if key not in classes:
                raise InputError(f"{file}: {key} has an image but no {key}.cls")
            keys.append(key)
            rows.append((classes[key], number, offset, size))
        if lone := classes.keys() - images.keys():
            raise InputError(f"{file}: {min(lone)} has a class but no image ({', '.join(_IMAGES)})")
    labels, file_numbers, offsets, sizes = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    members = _Members([str(file) for file in files], keys, file_numbers, offsets, sizes)
    return Listing(labels, members.openers, members.place)


def _members(file: Path) -> tuple[dict[str, _Member], dict[str, int]]:
    """The images and the classes of one tar file by key, from its headers."""
    images: dict[str, _Member] = {}
    classes: dict[str, int] = {}
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                folder, slash, name = member.name.rpartition("/")
                key, _, ending = name.partition(".")
                key = folder + slash + key
                if member.isfile() and ending.lower() in _IMAGES:
                    images[key] = _Member(member.offset_data, member.size)
                elif member.isfile() and ending.lower() == "cls":
                    opened = archive.extractfile(member)
                    assert opened is not None, "a regular file"
                    classes[key] = _number(opened.read(), file, key)
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"cannot read {file} as an uncompressed tar file: {error}") from error
    return images, classes


def _number(text: bytes, file: Path, key: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{file}: {key}.cls must be a class number, got {text[:20]!r}") from None


def _class_names(folder: Path) -> tuple[str, ...] | None:
    text, table = folder / "classes.txt", folder / "classes.json"
    try:
        if text.exists():
            return tuple(text.read_text().splitlines())
        if table.exists():
            named = json.loads(table.read_text())
            return tuple(map(str, named.values() if isinstance(named, dict) else named))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"cannot read the class names beside {folder}: {error}") from error
    return None
