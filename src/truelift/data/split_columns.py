"""A column that tells each image's split, read in one way for tables, parquet and arrow files, data sets and shards.

A set may have millions of rows, of a few words: each word is looked at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from truelift.data.files import say
from truelift.data.listing import IntArray
from truelift.data.split_names import split_of
from truelift.errors import InputError

_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Words:
    """What a column says of each row.

    Attributes:
        known: All that it says; "" for nothing.
        rows: int64 (N,), the place of each row's word in `known`.
    """

    known: Sequence[str]
    rows: IntArray

    @property
    def tell(self) -> bool:
        """Whether one of them tells a split."""
        return any(map(split_told, self.known))

    def named(self, names: Sequence[str] | None) -> "Words":
        """Class numbers by their names, where there are names."""
        if names is None:
            return self
        by_number = dict(zip(map(str, range(len(names))), names, strict=True))
        return replace(self, known=[by_number.get(word, word) for word in self.known])


def words_of(values: Sequence[Any]) -> Words:
    """What a column says, from its values; None says nothing."""
    known: dict[str, int] = {}
    rows = [known.setdefault("" if value is None else str(value), len(known)) for value in values]
    return Words([*known], np.array(rows, dtype=np.int64))


def joined(parts: Sequence[Words]) -> Words:
    """One after the other; of what could be said, as of categories, what is."""
    known: dict[str, int] = {}
    rows = [np.empty(0, np.int64)]
    for part in parts:
        places = np.full(len(part.known), -1)
        for place in np.flatnonzero(np.bincount(part.rows, minlength=len(part.known))).tolist():
            places[place] = known.setdefault(part.known[place], len(known))
        rows.append(places[part.rows])
    return Words([*known], np.concatenate(rows))


@dataclass(frozen=True)
class Told:
    """What a column that is named for splits says of each image.

    Attributes:
        column: Its name.
        words: What it says.
        place: Where each stands, for messages.
    """

    column: str
    words: Words
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
    rows: dict[str, IntArray] = {}
    for files_for, its in told.items():
        known = its.words.known
        if not its.words.tell:
            if files_for == "train" and known:
                say(f'{where}: "{its.column}" tells no splits (it says {known[0]!r:.50}): it is not used for them')
            continue
        own = {files_for} if len(named) > 1 else {*_SPLITS}
        if files_for == "train" and "validation" not in named:
            own.add("validation")
        splits = [split_told(word) for word in known]
        wrong = np.flatnonzero(np.isin(its.words.rows, [i for i, split in enumerate(splits) if split not in own]))
        if len(wrong):
            row = int(wrong[0])
            word = known[its.words.rows[row]]
            if split_told(word) is None:
                raise InputError(
                    f'{its.place(row)}: "{its.column}" must tell train, validation or test, got {word!r:.50}'
                )
            raise InputError(
                f'{its.place(row)}: "{its.column}" says {word!r:.50} where the file is for {files_for}; '
                "leave one of the two out"
            )
        if files_for == "train":
            places = {split: [i for i, one in enumerate(splits) if one == split] for split in _SPLITS}
            rows = {split: np.flatnonzero(np.isin(its.words.rows, of)) for split, of in places.items() if of}
    if rows and "train" not in rows:
        raise InputError(f"{where}: no row is for training, there are rows for {', '.join(rows)}")
    return rows


def divide_and_say(where: str, told: Mapping[str, Told], named: Collection[str]) -> dict[str, IntArray]:
    """As `divide`, and a line says so; empty too where all images are for training, whose files are read as they are.

    Raises:
        InputError: As `divide`.
    """
    rows = divide(where, told, named)
    if rows.keys() <= {"train"}:
        return {}
    counts = ", ".join(f"{len(found)} {split}" for split, found in rows.items())
    say(f'{where}: splits are told by "{told["train"].column}": {counts} images')
    return rows


def split_told(word: str) -> str | None:
    """The split that a column's value tells; None where it tells none, or two at once."""
    try:
        return split_of(word, "a column")
    except InputError:
        return None
