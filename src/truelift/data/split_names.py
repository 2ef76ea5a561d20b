"""Which split a file or folder is for, told by its name: `train-00000-of-00002.parquet`, `valid/0.tar`, `test_set`."""

import re
from collections.abc import Sequence
from pathlib import Path

from truelift.errors import InputError

SPLIT_OF_WORD = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "trainval": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "vld": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "tst": "test",
    "holdout": "test",
    "heldout": "test",
}
"""The words by which file and folder names tell a split: those of the Hugging Face hub, and some more."""

# What a word that tells a split may end with: testset, trainimages.
_ENDINGS = (
    *("", "set", "sets", "data", "dataset", "split", "files"),
    *("image", "images", "img", "imgs", "pictures", "photos"),
)


def match_splits(root: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of each split; all are for training where no name has a word that tells a split.

    Args:
        root: The folder that is searched, or the one file, which is for training whatever its name.
        files: Some in it or its subfolders.

    Raises:
        InputError: Some files name a split and others none, one names two, or none is for training.
    """
    if root.is_file():
        return {"train": list(files)}
    splits: dict[str, list[Path]] = {}
    unmatched = []
    for file in files:
        parts = file.relative_to(root).parts
        # The file's own name first; only where it says nothing, the folder's.
        split = next(filter(None, (split_of(part, file) for part in reversed(parts))), None)
        if split is None:
            unmatched.append(file)
        else:
            splits.setdefault(split, []).append(file)
    if not splits:
        return {"train": list(files)}
    if unmatched:
        raise InputError(f"a file beside those of named splits must name its split too, got {unmatched[0]}")
    if "train" not in splits:
        raise InputError(f"no file is named for the training split in {root}: {', '.join(f.name for f in files)}")
    return splits


def split_of(name: str, path: Path | str) -> str | None:
    """The split that a word in a name tells: train, validation or test; None where no word tells one.

    Args:
        name: Of a file or folder: "train2017", "test_set", "TrainImages", "valset".
        path: Where it is, for messages.

    Raises:
        InputError: It tells two.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.split(r"[^a-z]+", spaced.lower())
    stems = {word.removesuffix(ending) for word in words for ending in _ENDINGS}
    found = {SPLIT_OF_WORD[stem] for stem in stems if stem in SPLIT_OF_WORD}
    if len(found) > 1:
        raise InputError(f"a name must tell one split, got {', '.join(sorted(found))} in {path}")
    return found.pop() if found else None
