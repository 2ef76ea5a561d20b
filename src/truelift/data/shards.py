"""Webdataset shards: tar files in which KEY.jpg and KEY.cls, a class number as text, are one image."""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from truelift.data.class_names import read_class_names
from truelift.data.digest import of_files, of_rows
from truelift.data.files import files_ending, is_hidden
from truelift.data.image_formats import image_endings, open_bytes
from truelift.data.listing import IntArray, Listing, Opener, Source, number_names
from truelift.data.split_names import match_splits
from truelift.errors import InputError, one_line

# A class number has no more digits, with signs and spaces around.
_LONGEST_NUMBER = 100

_LARGEST_NUMBER = 2**31 - 1

# Looked through at a time behind the end of an archive.
_CHUNK = 1 << 20

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def shard_files(path: Path) -> list[Path]:
    """The tar files at `path`: itself, or those in the folder and its subfolders, sorted; empty where none."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".tar" else []
    found = files_ending(path, (".tar",))
    if found and (others := files_ending(path, _COMPRESSED)):
        raise InputError(f"{others[0]}: a shard must be an uncompressed tar file.")
    return found


def read_shards(path: Path) -> Source:
    """The images of one shard, or of a folder of them; nothing is extracted.

    Files are matched to splits by their names (see `split_names`). A key is a member's name up to the first dot of its
    last part. Classes are named by `classes.txt` or `classes.json` beside the shards (see `class_names`); otherwise by
    their numbers. Members of other endings are left out.

    Args:
        path: A tar file, or a folder with some.

    Raises:
        InputError: A file is no uncompressed tar file, is cut off, or cannot be matched to a split; a key has an image
            and no class, or the other way round, or one of them twice; a class is no number; or there is no image.
    """
    files = shard_files(path)
    by_split = {"train": files} if path.is_file() else match_splits(path, files)
    listings = {split: _list(files) for split, files in by_split.items()}
    train = listings["train"]
    if len(train.labels) == 0:
        raise InputError(f"no image found: {by_split['train'][0]} holds no KEY.jpg with a KEY.cls")
    classes = read_class_names(path if path.is_dir() else path.parent)
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

    def content(self) -> bytes:
        return of_files(self.files) + of_rows(self.keys, self.file_numbers, self.offsets, self.sizes)

    def _open(self, index: int) -> Image.Image:
        with open(self.files[self.file_numbers[index]], "rb") as file:
            file.seek(self.offsets[index])
            return open_bytes(file.read(self.sizes[index]))


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
            raise InputError(f"{file}: {min(lone)} has a class but no image (jpg, png and the like)")
    labels, file_numbers, offsets, sizes = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    members = _Members([str(file) for file in files], keys, file_numbers, offsets, sizes)
    return Listing(labels, members.openers, members.place, members.content, lambda: members.files)


def _members(file: Path) -> tuple[dict[str, _Member], dict[str, int]]:
    """The images and the classes of one tar file by key, from its headers."""
    images: dict[str, _Member] = {}
    classes: dict[str, int] = {}
    try:
        with tarfile.open(file, "r:") as archive:
            end = 0
            for member in archive:
                if member.size < 0 or member.offset_data < end:  # it would be read for ever
                    raise tarfile.ReadError(f"member {member.name} has a size or a place that cannot be")
                end = member.offset_data
                _sort_in(archive, member, file, images, classes)
            _require_end(archive)
    except InputError:
        raise
    # On damaged headers tarfile raises ValueError, OverflowError and others beside its own.
    except (tarfile.TarError, OSError, ValueError, ArithmeticError, RecursionError, EOFError) as error:
        raise InputError(f"cannot read {file} as an uncompressed tar file: {one_line(error)}") from error
    return images, classes


def _sort_in(
    archive: tarfile.TarFile, member: tarfile.TarInfo, file: Path, images: dict[str, _Member], classes: dict[str, int]
) -> None:
    """Take a member up as a key's image or class, where it is one."""
    folder, slash, name = member.name.rpartition("/")
    stem, _, ending = name.partition(".")
    key, ending = folder + slash + stem, ending.lower()
    is_image = f".{ending}" in _endings()
    if ending.endswith(".cls") and not is_hidden(name):
        raise InputError(f"{file}: {member.name} must be KEY.cls, with a key that has no dot")
    if member.isdir() or not (is_image or ending == "cls"):
        return
    if not member.isfile() or member.issparse():
        raise InputError(f"{file}: {member.name} must be a regular file, no link or the like")
    if key in (images if is_image else classes):
        raise InputError(f"{file}: {key} has two {'images' if is_image else 'classes'}")
    if is_image:
        images[key] = _Member(member.offset_data, member.size)
        return
    opened = archive.extractfile(member)
    assert opened is not None, "a regular file"
    classes[key] = _number(opened.read(_LONGEST_NUMBER + 1), file, key)


def _require_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive without its end mark, or with more behind it: there was more that nobody has read.

    Raises:
        tarfile.ReadError: It is such a one.
    """
    file = archive.fileobj
    assert file is not None, "it is open"
    file.seek(archive.offset)
    mark = file.read(tarfile.BLOCKSIZE)
    if len(mark) < tarfile.BLOCKSIZE or any(mark):
        raise tarfile.ReadError("it ends early, or is damaged: there is no end mark behind its last member")
    while rest := file.read(_CHUNK):
        if any(rest):
            raise tarfile.ReadError("there is more behind its end mark")


def _number(text: bytes, file: Path, key: str) -> int:
    try:
        if len(text) > _LONGEST_NUMBER or b"_" in text:
            raise ValueError
        number = int(text)
    except ValueError:
        raise InputError(f"{file}: {key}.cls must be a class number, got {text[:20]!r}") from None
    if abs(number) > _LARGEST_NUMBER:
        raise InputError(f"{file}: {key}.cls must be a class number of at most {_LARGEST_NUMBER}, got {number}")
    return number


@cache
def _endings() -> frozenset[str]:
    return image_endings()
