"""A folder of class folders: `root/class/*.jpg`, or `root/{train,valid,test}/class/*.jpg`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from truelift.data.files import say, subfolders
from truelift.data.image_files import first_image
from truelift.data.listing import Listing, Source
from truelift.data.split_names import SPLIT_OF_WORD, split_of
from truelift.data.tree import DiskFolder, Folder
from truelift.errors import InputError


def read_folder(root: Path) -> Source:
    """The images under the folder `root`, as `read_tree` says."""
    return read_tree(DiskFolder(root))


def read_classes(root: Path) -> Source:
    """The images under `root`, each folder of which is a class, whatever its name.

    Raises:
        InputError: As `read_tree`.
    """
    return read_splits({"train": DiskFolder(root)})


def holds_classes(root: Path) -> bool:
    """Whether there are class folders in `root`: two folders with images, or one of a split with such in it."""
    folders = subfolders(root)
    of_splits = [folder for folder in folders if split_of(folder.name, root) is not None]
    if any(first_image(inner) for folder in of_splits for inner in subfolders(folder)):
        return True
    return sum(first_image(folder) is not None for folder in folders if folder not in of_splits) > 1


def read_tree(root: Folder) -> Source:
    """The images under `root`; a class is named by its folder, and classes are numbered in sorted order.

    Where every folder in `root` has a word in its name that tells a split (train, training_set, TestImages), they are
    splits; where none has, they are classes. What could be meant in two ways is said on one line of the error stream,
    or refused. A class folder is searched at any depth. Files without the ending of an image are left out, and so is
    what is hidden or left behind by a system (names that begin with a dot, __MACOSX). Images beside the class folders
    are the source's `left_out`. A test folder that holds images and no folders is a test set without labels.

    Raises:
        InputError: There is no image, a class folder of the training split is empty, another split has a class that
            training lacks, two folders name the same split, or some folders name splits and others do not.
    """
    folders = root.subfolders()
    splits = _split_folders(root, folders)
    if splits is None:
        _doubt_classes(root, folders)
        splits = {"train": root}
    return read_splits(splits)


def read_splits(given: Mapping[str, Folder]) -> Source:
    """The images of these splits, one of them "train", each with its class folders.

    Raises:
        InputError: As `read_tree`.
    """
    splits = dict(given)
    classes = tuple(folder.name for folder in splits["train"].subfolders())
    unlabelled = _without_labels(splits)
    listings = {split: _list(folder, classes) for split, folder in splits.items()}
    train = listings["train"]
    if len(train.labels) == 0:
        raise InputError(f"no image found: {splits['train']} holds no class folder with images")
    empty = np.flatnonzero(np.bincount(train.labels, minlength=len(classes)) == 0)
    if len(empty):
        raise InputError(f"class folder without images: {splits['train']}/{classes[empty[0]]}")
    beside = tuple(file for folder in splits.values() for file in folder.images())
    return Source(
        train, listings.get("validation"), listings.get("test"), classes, left_out=beside, unlabelled=unlabelled
    )


def _without_labels(splits: dict[str, Folder]) -> Listing | None:
    """The test set without class folders, which is taken out of `splits`."""
    test = splits.get("test")
    if test is None or any(folder.all_images() for folder in test.subfolders()) or not (images := test.images()):
        return None
    del splits["test"]
    return test.listing(images, np.full(len(images), -1, dtype=np.int64))


def _split_folders(root: Folder, folders: Sequence[Folder]) -> dict[str, Folder] | None:
    """The folder of each split; None where folders are classes.

    A split holds class folders. So a folder whose name tells one and that holds images alone may be a class.
    """
    told = [(folder, split) for folder in folders if (split := split_of(folder.name, Path(str(folder)))) is not None]
    if not told:
        return None
    sure = [folder for folder, _ in told if folder.name.lower() in SPLIT_OF_WORD]
    if len(told) < len(folders):
        names = {folder.name for folder, _ in told}
        other = next(folder for folder in folders if folder.name not in names)
        deep = [folder for folder in sure if folder.subfolders()]
        if deep or any(SPLIT_OF_WORD[folder.name.lower()] != "train" for folder in sure):
            known = ", ".join(SPLIT_OF_WORD)
            named = (deep or sure)[0].name
            raise InputError(f'a folder beside "{named}" must name a split ({known}) too, got {other}')
        say(f"{root}: its {len(folders)} folders are read as classes, {', '.join(f.name for f, _ in told)} too")
        return None
    if not any(folder.subfolders() for folder in folders):
        if sure:
            raise InputError(f"no image found: {sure[0]} holds no class folder with images")
        say(f"{root}: its folders are read as classes: {', '.join(folder.name for folder in folders)}")
        return None
    splits: dict[str, Folder] = {}
    for folder, split in told:
        if split in splits:
            raise InputError(f"two folders name the {split} split: {splits[split]} and {folder}")
        splits[split] = folder
    if "train" not in splits:
        raise InputError(f"no folder is named for the training split in {root}: {', '.join(f.name for f in folders)}")
    if len(sure) < len(folders):
        say(f"{root}: {', '.join(f'{folder.name} is read as the {split} split' for split, folder in splits.items())}")
    return splits


def _doubt_classes(root: Folder, folders: Sequence[Folder]) -> None:
    """Refuse or say where the folders in `root` might be something else than classes."""
    inner = {str(folder): [sub.name for sub in folder.subfolders()] for folder in folders}
    for folder, names in inner.items():
        splits = {SPLIT_OF_WORD.get(name.lower()) for name in names} - {None}
        if "train" in splits and len(splits) > 1:
            raise InputError(f"a split must hold classes, not a class splits, got {folder}/{', '.join(names)}")
    first = next(iter(inner.values()), [])
    if len(inner) > 1 and len(first) > 1 and all(names == first for names in inner.values()):
        told, each = ", ".join(folder.name for folder in folders[:3]), ", ".join(first[:3])
        say(f"{root}: its folders ({told}) are read as classes, although each has the same folders ({each})")


def _list(root: Folder, classes: Sequence[str]) -> Listing:
    number = {name: i for i, name in enumerate(classes)}
    files: list[str] = []
    labels: list[int] = []
    for folder in root.subfolders():
        found = folder.all_images()
        if found and folder.name not in number:
            raise InputError(f'{folder}: class "{folder.name}" has no folder in the training split')
        files += found
        labels += [number[folder.name]] * len(found) if found else []
    return root.listing(files, np.array(labels, dtype=np.int64))
