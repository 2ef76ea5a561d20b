"""A column that tells each image's split, read in one way for tables, parquet and arrow files, data sets and shards."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from truelift.data.files import say
from truelift.data.listing import IntArray
from truelift.data.split_names import split_of
from truelift.errors import InputError


@dataclass(frozen=True)
class Told:
    """What a column that is named for splits says of each image.

    Attributes:
        column: Its name.
        values: What it says, None of an image that lacks it.
        place: Where each stands, for messages.
    """

    column: str
    values: Sequence[Any]
    place: Callable[[int], str]


def divide(where: str, told: Mapping[str, Told], named: Collection[str]) -> dict[str, IntArray]:
    """The images of the training files by the split that their column tells.

    A column none of whose values tells a split means something else, and is left alone; one line says so. Files that
    are all for training may hold every split; beside files for other splits, those for training may hold the
    validation set too, if no file is for it, and all others their own split alone.

    Args:
        where: The data set, for messages.
        told: By the split that files are for by their names, where they have such a column.
        named: All splits that files are for by their names.

    Returns:
        Ascending indices of images of the training files, by split, with "train"; empty where no column tells them.

    Raises:
        InputError: A value tells no split though others do, or another one than the file's name; or none is for
            training.
    """
    rows: dict[str, list[int]] = {}
    for files_for, its in told.items():
        words = ["" if value is None else str(value) for value in its.values]
        splits = {word: _split(word) for word in set(words)}
        if not any(splits.values()):
            if files_for == "train" and words:
                say(f'{where}: "{its.column}" tells no splits (it says {words[0]!r:.50}): it is not used for them')
            continue
        own = {files_for} if len(named) > 1 else {"train", "validation", "test"}
        if files_for == "train" and "validation" not in named:
            own.add("validation")
        for row, word in enumerate(words):
            split = splits[word]
            if split is None:
                raise InputError(
                    f'{its.place(row)}: "{its.column}" must tell train, validation or test, got {word!r:.50}'
                )
            if split not in own:
                raise InputError(
                    f'{its.place(row)}: "{its.column}" says {word!r:.50} where the file is for {files_for}; '
                    "leave one of the two out"
                )
            if files_for == "train":
                rows.setdefault(split, []).append(row)
    if rows and "train" not in rows:
        raise InputError(f"{where}: no row is for training, there are rows for {', '.join(rows)}")
    return {split: np.array(found, dtype=np.int64) for split, found in rows.items()}


def say_divided(where: str, told: Mapping[str, Told], rows: Mapping[str, IntArray]) -> None:
    """Say on one line that splits were told by a column, if they were."""
    if rows:
        counts = ", ".join(f"{len(found)} {split}" for split, found in rows.items())
        say(f'{where}: splits are told by "{told["train"].column}": {counts} images')


def _split(word: str) -> str | None:
    try:
        return split_of(word, "a column")
    except InputError:  # two at once
        return None
