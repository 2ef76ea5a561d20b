"""Labels as people write them, made class numbers with names. N images, K classes.

whole numbers          class numbers
text                   a class for each name, in the order of the alphabet; all of them whole numbers: in theirs
true and false         two classes, "false" and "true"
lists of these         several labels an image: uint8 (N, K), 1 where the image has the class's label
nothing                no label; of the whole test set: it can be predicted, not judged; −1 says the same, if no
                       training image has it
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from truelift.data.listing import IntArray, Labels, Listing, Source, number_names
from truelift.errors import InputError

Place = Callable[[int], str]
"""Where an image's label stands, for messages."""

_LONGEST_NAME = 1000

_LARGEST_NUMBER = 2**63 - 1

_MOST_ENTRIES = 2**31
"""Of a table of images and classes: bytes of memory."""

_BOOLEANS = ("false", "true")


@dataclass(frozen=True)
class Raw:
    """The labels of one split as they were read.

    Attributes:
        values: For each image a whole number, text, true or false, a list of these, or None.
        place: Where each stands.
    """

    values: Sequence[Any]
    place: Place

    def part(self, rows: IntArray) -> "Raw":
        """Those of some images, by their indices."""
        chosen = rows.tolist()
        return Raw([self.values[row] for row in chosen], lambda index: self.place(chosen[index]))


@dataclass(frozen=True)
class Numbered:
    """Labels by split, as `Listing` has them, and the classes' names."""

    labels: dict[str, Labels]
    classes: tuple[str, ...]
    bare_test: bool = False
    """Whether the test set has no labels: theirs are −1."""

    def source(
        self,
        listings: Mapping[str, Listing],
        *,
        unlabelled: Listing | None = None,
        left_out: tuple[str, ...] = (),
        belongs: str = Source.belongs,
    ) -> Source:
        """The data set of these listings; a test set without labels is one that can be predicted alone.

        Args:
            listings: By split, with these labels.
            unlabelled: Such a test set, where it is none of the listings.
            left_out: As for `Source`.
            belongs: As for `Source`.

        Raises:
            InputError: As `Source`.
        """
        test = listings.get("test")
        if self.bare_test:
            test, unlabelled = None, test
        return Source(listings["train"], listings.get("validation"), test, self.classes, left_out, belongs, unlabelled)


def number_labels(raw: Mapping[str, Raw], names: tuple[str, ...] | None) -> Numbered:
    """Class numbers for the labels of all splits.

    Classes are those of the training set. One that only another split has is numbered after them, and `Source` refuses
    it.

    Args:
        raw: By split; there is "train".
        names: Of the classes, where they are known: labels are then class numbers, as numbers or as text, or names.

    Raises:
        InputError: A label is none of the kinds above, of another kind than the first, or missing.
    """
    bare_test = "test" in raw and _lacks_labels(raw["test"].values, raw["train"].values)
    plain = {
        split: [_plain(value, part.place, number) for number, value in enumerate(part.values)]
        for split, part in raw.items()
        if split != "test" or not bare_test
    }
    several = any(isinstance(value, tuple) for values in plain.values() for value in values)
    flat = {split: _flat(values) if several else values for split, values in plain.items()}
    classes, numbers = _classes(flat, names)
    labels: dict[str, Labels] = {"test": np.full(len(raw["test"].values), -1, np.int64)} if bare_test else {}
    for split, values in plain.items():
        if several:
            labels[split] = _table(values, numbers, len(classes), raw[split].place)
        else:
            labels[split] = np.array([numbers[value] for value in values], dtype=np.int64)
    return Numbered(labels, classes, bare_test)


def divided(value: Any, separator: str | None) -> Any:
    """Several labels in one text, where there is a separator; of the whole text nothing stays nothing."""
    if separator is None or not isinstance(value, str) or not value.strip():
        return value
    return [part.strip() for part in value.split(separator) if part.strip()]


def from_columns(columns: Mapping[str, Sequence[Any]], place: Place) -> list[list[str]]:
    """For each image the names of the columns that say yes: 1, true or yes; 0, -1, false, no and nothing are no.

    Raises:
        InputError: A value says neither.
    """
    rows: list[list[str]] = [[] for _ in next(iter(columns.values()))]
    for name, values in columns.items():
        for number, value in enumerate(values):
            said = _YES_OR_NO.get(str(value).strip().lower() if not _is_missing(value) else "0")
            if said is None:
                raise InputError(f'{place(number)}: "{name}" must be 0 or 1, got {value!r}')
            if said:
                rows[number].append(name)
    return rows


_YES_OR_NO = {
    "1": True,
    "1.0": True,
    "true": True,
    "yes": True,
    "0": False,
    "0.0": False,
    "false": False,
    "no": False,
    "-1": False,
}


def _plain(value: Any, place: Place, number: int) -> Any:
    """A whole number, a boolean or text as Python has it; a list as a tuple of these.

    Raises:
        InputError: It is none of them, or missing.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_plain(item, place, number) for item in value)
    if _is_missing(value):
        raise InputError(f"{place(number)}: a label must be given, got none")
    if isinstance(value, str):
        if len(value) > _LONGEST_NAME:
            raise InputError(f"{place(number)}: a class name must have {_LONGEST_NAME} characters at most")
        return value.strip()
    if isinstance(value, float) and value.is_integer():  # a table with gaps makes floats of whole numbers
        value = int(value)
    if not isinstance(value, bool | int) or abs(value) > _LARGEST_NUMBER:
        raise InputError(f"{place(number)}: a label must be a whole number, text, true or false, got {value!r:.50}")
    return value


def _lacks_labels(test: Sequence[Any], train: Sequence[Any]) -> bool:
    """Whether a test set says nothing throughout, or −1, by which the hub's sets say the same."""
    if not all(_is_missing(value) or _is_minus_one(value) for value in test):
        return False
    return all(map(_is_missing, test)) or not any(map(_is_minus_one, train))


def _is_minus_one(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() == "-1"
    return isinstance(value, int | float | np.generic) and bool(value == -1)


def _is_missing(value: Any) -> bool:
    empty = isinstance(value, str) and not value.strip()
    return value is None or empty or (isinstance(value, float) and math.isnan(value))


def _flat(values: Iterable[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, tuple) else (value,))]


def _classes(flat: Mapping[str, list[Any]], names: tuple[str, ...] | None) -> tuple[tuple[str, ...], dict[Any, int]]:
    """The classes' names, and the number of each label that occurs."""
    trained, others = set(flat["train"]), {value for values in flat.values() for value in values}
    kinds = {type(value) for value in others}
    if len(kinds) > 1:
        told = ", ".join(sorted(_KINDS[kind] for kind in kinds))
        raise InputError(f"labels must all be of one kind, got {told}")
    if kinds == {bool}:
        return names or _BOOLEANS, {value: int(value) for value in others}
    whole = kinds == {int} or (names is not None and not others <= set(names) and all(map(_is_whole, others)))
    if whole:
        numbers = {value: int(value) for value in others}
        if names is None:
            names = number_names(np.array([numbers[value] for value in trained], dtype=np.int64))
        return names, numbers
    if names is None:
        order = _by_number if all(map(_is_whole, others)) else None
        names = (*sorted(trained, key=order), *sorted(others - trained, key=order))
    elif unknown := sorted(others - set(names)):
        raise InputError(f'a label must be a class number or one of the {len(names)} class names, got "{unknown[0]}"')
    numbers = {name: number for number, name in enumerate(names)}
    if len(numbers) < len(names) and (twice := sorted(name for name in others if names.count(name) > 1)):
        count = names.count(twice[0])
        raise InputError(f'a label must name one class, got "{twice[0]}", the name of {count}; give class numbers')
    return names, numbers


_KINDS = {int: "whole numbers", str: "text", bool: "true or false"}


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _by_number(text: str) -> tuple[int, str]:
    return int(text), text


def _table(values: Sequence[Any], numbers: Mapping[Any, int], classes: int, place: Place) -> Labels:
    """The labels of each image as a row of 0 and 1."""
    if len(values) * classes > _MOST_ENTRIES:
        raise InputError(f"{len(values)} images of {classes} classes are too many for several labels an image")
    table = np.zeros((len(values), classes), dtype=np.uint8)
    for row, value in enumerate(values):
        if not isinstance(value, tuple):
            raise InputError(f"{place(row)}: a list of labels is wanted as for other images, got {value!r:.50}")
        for item in value:
            if not 0 <= numbers[item] < classes:
                raise InputError(f"{place(row)}: a label must be in 0..{classes - 1} ({classes} classes), got {item}")
            table[row, numbers[item]] = 1
    return table
