"""A folder of class folders: `root/class/*.jpg`, or `root/{train,valid,test}/class/*.jpg`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from truelift.data.digest import of_files
from truelift.data.files import is_hidden, say, subfolders, walk
from truelift.data.image_formats import image_endings, open_file
from truelift.data.listing import SPLIT_OF_WORD, IntArray, Listing, Opener, Source
from truelift.data.split_names import split_of
from truelift.errors import InputError


def read_folder(root: Path) -> Source:
    """The images under `root`; a class is named by its folder, and classes are numbered in sorted order.

    Where every folder in `root` has a word in its name that tells a split (train, training_set, TestImages), they are
    splits; where none has, they are classes. What could be meant in two ways is said on one line of the error stream,
    or refused. A class folder is searched at any depth. Files without the ending of an image are left out, and so is
    what is hidden or left behind by a system (names that begin with a dot, __MACOSX). Images beside the class folders
    are the source's `left_out`.

    Raises:
        InputError: There is no image, a class folder of the training split is empty, another split has a class that
            training lacks, two folders name the same split, or some folders name splits and others do not.
    """
    folders = subfolders(root)
    splits = _split_folders(root, folders)
    if splits is None:
        _doubt_classes(root, folders)
        splits = {"train": root}
    classes = tuple(folder.name for folder in subfolders(splits["train"]))
    listings = {split: _list(folder, classes) for split, folder in splits.items()}
    train = listings["train"]
    if len(train.labels) == 0:
        raise InputError(f"no image found: {splits['train']} holds no class folder with images")
    empty = np.flatnonzero(np.bincount(train.labels, minlength=len(classes)) == 0)
    if len(empty):
        raise InputError(f"class folder without images: {splits['train'] / classes[empty[0]]}")
    beside = tuple(str(file) for folder in splits.values() for file in _images_in(folder))
    return Source(train, listings.get("validation"), listings.get("test"), classes, beside)


def _split_folders(root: Path, folders: Sequence[Path]) -> dict[str, Path] | None:
    """The folder of each split; None where folders are classes.

    A split holds class folders. So a folder whose name tells one and that holds images alone may be a class.
    """
    told = {folder: split for folder in folders if (split := split_of(folder.name, folder)) is not None}
    if not told:
        return None
    sure = [folder for folder in told if folder.name.lower() in SPLIT_OF_WORD]
    if len(told) < len(folders):
        other = next(folder for folder in folders if folder not in told)
        deep = [folder for folder in sure if subfolders(folder)]
        if deep or any(told[folder] != "train" for folder in sure):
            known = ", ".join(SPLIT_OF_WORD)
            named = (deep or sure)[0].name
            raise InputError(f'a folder beside "{named}" must name a split ({known}) too, got {other}')
        say(f"{root}: its {len(folders)} folders are read as classes, {', '.join(f.name for f in told)} too")
        return None
    if not any(subfolders(folder) for folder in folders):
        if sure:
            raise InputError(f"no image found: {sure[0]} holds no class folder with images")
        say(f"{root}: its folders are read as classes: {', '.join(folder.name for folder in folders)}")
        return None
    splits: dict[str, Path] = {}
    for folder, split in told.items():
        if split in splits:
            raise InputError(f"two folders name the {split} split: {splits[split]} and {folder}")
        splits[split] = folder
    if "train" not in splits:
        raise InputError(f"no folder is named for the training split in {root}: {', '.join(f.name for f in folders)}")
    if len(sure) < len(folders):
        say(f"{root}: {', '.join(f'{folder.name} is read as the {split} split' for split, folder in splits.items())}")
    return splits


def _doubt_classes(root: Path, folders: Sequence[Path]) -> None:
    """Refuse or say where the folders in `root` might be something else than classes."""
    inner = {folder: [sub.name for sub in subfolders(folder)] for folder in folders}
    for folder, names in inner.items():
        splits = {SPLIT_OF_WORD.get(name.lower()) for name in names} - {None}
        if "train" in splits and len(splits) > 1:
            raise InputError(f"a split must hold classes, not a class splits, got {folder}/{', '.join(names)}")
    first = next(iter(inner.values()), [])
    if len(inner) > 1 and len(first) > 1 and all(names == first for names in inner.values()):
        told, each = ", ".join(folder.name for folder in folders[:3]), ", ".join(first[:3])
        say(f"{root}: its folders ({told}) are read as classes, although each has the same folders ({each})")


def _list(root: Path, classes: Sequence[str]) -> Listing:
    number = {name: i for i, name in enumerate(classes)}
    files: list[Path] = []
    labels: list[int] = []
    for folder in subfolders(root):
        found = sorted(file for file in walk(folder) if _is_image(file))
        if found and folder.name not in number:
            raise InputError(f'{folder}: class "{folder.name}" has no folder in the training split')
        files += found
        labels += [number[folder.name]] * len(found) if found else []

    listed = _Files([str(file) for file in files])
    return Listing(np.array(labels, dtype=np.int64), listed.openers, listed.place, listed.content, lambda: listed.names)


def _images_in(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if _is_image(f) and not is_hidden(f.name) and not f.is_dir())


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _endings()


@cache
def _endings() -> frozenset[str]:
    return image_endings()


@dataclass(frozen=True)
class _Files:
    """Image files by name: a path object is several times as large, and a million of them are felt."""

    names: Sequence[str]

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        return (partial(open_file, self.names[i]) for i in indices)

    def place(self, index: int) -> str:
        return self.names[index]

    def content(self) -> bytes:
        return of_files(self.names)
