"""A column that tells each image's split, read in one way for tables, parquet and arrow files, data sets and shards.

A set may have millions of rows, of a few words: each word is looked at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from truelift.data.files import say
from truelift.data.listing import IntArray
from truelift.data.split_names import split_of
from truelift.errors import InputError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Words:
    """What a column says of each row.

    Attributes:
        known: All that it says; "" for nothing.
        rows: int64 (N,), the place of each row's word in `known`.
    """

    known: Sequence[str]
    rows: IntArray

    @cached_property
    def splits(self) -> list[str | None]:
        """The split that each of the known tells."""
        return [*map(split_told, self.known)]

    @property
    def tell(self) -> bool:
        """Whether one of them tells a split."""
        return any(self.splits)

    def of_row(self, row: int) -> str:
        """What it says of one row."""
        return self.known[int(self.rows[row])]

    def telling(self, split: str) -> IntArray:
        """The rows of a split, ascending."""
        return np.flatnonzero(self._are({split}))

    def outside(self, splits: Collection[str], *, or_blank: bool = False) -> int | None:
        """The first row that is of none of these splits, nor says nothing if it may; None where all are of one."""
        blank = np.array([or_blank and not word for word in self.known], dtype=bool)[self.rows]
        found = np.flatnonzero(~self._are(splits) & ~blank)
        return int(found[0]) if len(found) else None

    def _are(self, splits: Collection[str]) -> npt.NDArray[np.bool_]:
        return np.array([split in splits for split in self.splits], dtype=bool)[self.rows]

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

    def says(self, row: int) -> str:
        """What it says of an image, as a message begins."""
        return f'{self.place(row)}: "{self.column}" says {self.words.of_row(row)!r:.50}'


def find_told(columns: Sequence[Mapping[str, Words]], rows: Sequence[int], place: Callable[[int], str]) -> Told | None:
    """What the columns of some files say of splits: of each file the first that tells any, or else its first.

    Args:
        columns: Of each file those that are named for splits, as `find_splits` has them.
        rows: How many each file has.
        place: Where each row of them all stands.

    Returns:
        It; None where no file has such a column.
    """
    chosen = [next((it for it in its.items() if it[1].tell), next(iter(its.items()), None)) for its in columns]
    found = [it for it in chosen if it is not None]
    if not found:
        return None
    name = next((name for name, words in found if words.tell), found[0][0])
    nothing = [Words([""], np.zeros(count, dtype=np.int64)) for count in rows]
    words = [it[1] if it is not None else none for it, none in zip(chosen, nothing, strict=True)]
    return Told(name, joined(words), place)


def divide(where: str, told: Mapping[str, Told], named: Collection[str]) -> dict[str, IntArray]:
    """The images of the training files by the split that their column tells.

    A column none of whose values tells a split means something else, and is left alone; one line says so. Files that
    are all for training may hold every split; beside files for other splits, those for training may hold the
    validation set too, if no file is for it, and all others their own split alone. A column that says something else of
    these others divides the images in another way, as where an author has split them anew: the files' names tell the
    splits then, and a line says so. One that says something else of files for training alone is refused: what they hold
    may be the images of the other files once more.

    Args:
        where: The data set, for messages.
        told: By the split that files are for by their names, where they have such a column.
        named: All splits that files are for by their names.

    Returns:
        Ascending indices of images of the training files, by split, with "train"; empty where no column tells them.

    Raises:
        InputError: A value of the training files tells no split though others do, or another one than their names; or
            none is for training.
    """
    trained = told.get("train")
    if trained is None or not len(trained.words.rows):
        return {}
    for files_for, its in told.items():
        row = its.words.outside({files_for}, or_blank=True) if files_for != "train" and its.words.tell else None
        if row is not None:
            say(
                f"{its.says(row)} where the file is for {files_for}: splits are told by the names of the files, not by "
                f'"{its.column}"'
            )
            return {}
    column, words = trained.column, trained.words
    if not words.tell:
        say(f'{where}: "{column}" tells no splits (it says {words.of_row(0)!r:.50}): it is not used for them')
        return {}
    beside_others = {"train"} if "validation" in named else {"train", "validation"}
    row = words.outside(beside_others if len(named) > 1 else SPLITS)
    if row is not None and words.splits[int(words.rows[row])] is None:
        raise InputError(
            f'{trained.place(row)}: "{column}" must tell train, validation or test, got {words.of_row(row)!r:.50}'
        )
    if row is not None:
        raise InputError(
            f"{trained.says(row)} where the file is for train; rename the column to split by the files, or give those "
            "for train alone to split by the column"
        )
    rows = {split: found for split in SPLITS if len(found := words.telling(split))}
    if "train" not in rows:
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
