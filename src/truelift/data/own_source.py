"""A user's own data set, by import path: a function that gives the images.

It returns a dict of splits, "train" and where there are such "validation" and "test", and perhaps "classes", the name
of each class; or one of these alone, which is then for training; or a `Source`. A split is

    (images, labels)          images: a uint8 array or tensor, (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3; or a
                              list, each item a PIL image, such an array or a file
    a Hugging Face Dataset    its image and label columns are found as those of parquet files
    a torchvision data set    or any sequence of (image, label)

Labels are class numbers, names, true or false, or lists of these; or an array (N, K) of 0 and 1 for several labels an
image; or of a test set None.

    def stripes(n=1000):
        images = numpy.zeros((n, 8, 8), numpy.uint8)
        labels = numpy.arange(n) % 2
        images[labels == 1, ::2] = 255
        return {"train": (images, labels), "classes": ["black", "striped"]}

    def flowers(root):
        return {split: torchvision.datasets.Flowers102(root, split) for split in ("train", "test")}
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from truelift.data.columns import ColumnOptions, refuse_columns
from truelift.data.digest import of_arrays, of_files
from truelift.data.given_images import array_of, images_of, open_item
from truelift.data.labels import Numbered, Raw, number_labels
from truelift.data.listing import IntArray, Listing, Opener, Source, number_names
from truelift.data.objects import Given, is_data_set, read_data_set
from truelift.data.split_columns import divide_and_say
from truelift.errors import InputError, known, one_line
from truelift.own import call

KIND = "data set"
_SPLITS = ("train", "validation", "test")


def read_own(path: str, found: Any, args: Mapping[str, Any], columns: ColumnOptions) -> Source:
    """The images that a user's own function gives.

    Args:
        path: Its import path.
        found: The function.
        args: It is called with these.
        columns: Which columns of a Hugging Face `Dataset` hold what.

    Raises:
        InputError: It does not take these args, raises, or what it gives are no images with labels; or has no columns,
            and options about them are given.
    """
    given, where = call(KIND, path, found, args), f'{KIND} "{path}"'
    if isinstance(given, Source):
        refuse_columns(columns, "a Source that a function gives")
        return given
    if is_data_set(given):
        given = {"train": given}
    if not isinstance(given, Mapping):
        told = type(given).__name__
        raise InputError(f"{where} must give a dict of splits, a data set or a Source, got {told}.")
    for name in given:
        known(f"part of {where}", str(name), (*_SPLITS, "classes"))
    if given.get("train") is None:
        raise InputError(f'{where} must give "train", got {", ".join(map(str, given)) or "nothing"}.')
    parts = {
        split: _part(f"{where}, {split}", given[split], columns) for split in _SPLITS if given.get(split) is not None
    }
    if not any(isinstance(part, Given) and part.has_columns for part, _ in parts.values()):
        refuse_columns(columns, "images that a function gives without columns")
    said = {split: part.told for split, (part, _) in parts.items() if isinstance(part, Given) and part.told}
    divided = divide_and_say(where, said, parts)
    if divided and isinstance(whole := parts["train"][0], Given):
        chosen = {split: whole.part(rows) for split, rows in divided.items()}
        parts |= {split: (part, _rows(part.labels)) for split, part in chosen.items()}
    names = given.get("classes")
    numbered = _numbered(parts, None if names is None else _classes(where, names))
    listings = {
        split: Listing(numbered.labels[split], part.openers, part.place, part.content, part.files)
        for split, (part, _) in parts.items()
    }
    return numbered.source(listings)


def _part(where: str, part: Any, columns: ColumnOptions) -> tuple["_Own | Given", Any]:
    """A split's images, and its labels as they are."""
    if is_data_set(part):
        given = read_data_set(where, part, columns)
        return given, _rows(given.labels)
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise InputError(f"{where}: must be (images, labels) or a data set, got {type(part).__name__}.")
    images = images_of(where, part[0])
    labels = [None] * len(images) if part[1] is None else _labels(where, part[1])
    if len(images) != len(labels):
        raise InputError(f"{where}: there must be a label for each image, got {len(images)} and {len(labels)}.")
    return _Own(images, where), labels


def _numbered(parts: Mapping[str, tuple["_Own | Given", Any]], names: tuple[str, ...] | None) -> Numbered:
    """The labels of all splits, and the classes' names."""
    told = next((part.names for part, _ in parts.values() if isinstance(part, Given) and part.names), None)
    if names is None and told is not None:
        names = told
        for part, _ in parts.values():
            if isinstance(part, Given) and part.names not in (None, told):
                raise InputError(f"{part.where}: its classes must be named as those of the other splits.")
    arrays = {split: labels for split, (_, labels) in parts.items() if isinstance(labels, np.ndarray)}
    test = arrays.get("test")
    if test is not None and test.ndim == 1 and len(test) and (test == -1).all():  # so they say that there are none
        parts = {**parts, "test": (parts["test"][0], [None] * len(test))}
        del arrays["test"]
    if len(arrays) < len(parts):  # text and the like, or no labels
        raw = {split: Raw(_listed(labels), part.place) for split, (part, labels) in parts.items()}
        return number_labels(raw, names)
    columns = {labels.shape[1:] for labels in arrays.values()}
    if len(columns) > 1:
        raise InputError(f"labels of all splits must have one form, got {', '.join(map(str, sorted(columns)))}")
    shape = columns.pop()
    if shape:
        names = names or tuple(map(str, range(shape[0])))
        if len(names) != shape[0]:
            raise InputError(f"labels must have a column for each of the {len(names)} classes, got {shape[0]}")
        return Numbered({split: labels.astype(np.uint8) for split, labels in arrays.items()}, names)
    return Numbered({**arrays}, number_names(arrays["train"]) if names is None else names)


def _listed(labels: Any) -> list[Any]:
    """Labels one by one; of rows of 0 and 1 the numbers of those that are 1."""
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        return [np.flatnonzero(row).tolist() for row in labels]
    return [*labels]


def _rows(labels: Any) -> Any:
    """Labels of a data set's items: class numbers as an array, rows of 0 and 1 as a table; others as they are."""
    if len(labels) and all(type(label) is int for label in labels) and max(map(abs, labels)) < 2**63:
        return np.array(labels, dtype=np.int64)
    are_rows = len(labels) and all(isinstance(label, np.ndarray) and label.ndim == 1 for label in labels)
    if are_rows and len({label.shape for label in labels}) == 1 and _says_yes_or_no(table := np.stack(labels)):
        return table
    return labels


def _says_yes_or_no(table: np.ndarray[Any, np.dtype[Any]]) -> bool:
    return bool(np.isin(table, (0, 1)).all())


@dataclass(frozen=True)
class _Own:
    """Images that a user's own function gave; a file is opened when it is wanted."""

    images: Sequence[Any]
    where: str

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        return (partial(open_item, self.images[i]) for i in indices.tolist())

    def place(self, index: int) -> str:
        item = self.images[index]
        return item if isinstance(item, str) else f"{self.where} image {index}"

    def files(self) -> list[str]:
        """None where some images are in memory."""
        files = [item for item in self.images if isinstance(item, str)]
        return files if len(files) == len(self.images) else []

    def content(self) -> bytes:
        files = [item for item in self.images if isinstance(item, str)]
        arrays = [np.asarray(item) for item in self.images if not isinstance(item, str)]
        return of_files(files) + of_arrays(arrays)


def _labels(where: str, labels: Any) -> Any:
    """Class numbers, int64 (N,), or rows of 0 and 1, (N, K); or a list of text and the like."""
    if isinstance(labels, list) and any(isinstance(label, str | bool | list | tuple) for label in labels):
        return labels
    try:
        array = array_of(labels)
    except (TypeError, ValueError) as error:  # a ragged list
        raise InputError(f"{where}: labels cannot be read ({one_line(error)}).") from error
    if array.ndim == 1 and array.dtype.kind in "bUO" and len(array):
        return array.tolist()
    if array.ndim == 2 and array.dtype.kind in "biuf" and _says_yes_or_no(array):
        return array
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        raise InputError(f"{where}: labels must be class numbers, integers (N,), got {array.dtype} {array.shape}.")
    if len(array) and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{where}: a label must be below 2⁶³, got {array.max()}.")
    return array.astype(np.int64)


def _classes(where: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"{where}: classes must be a list of names, got {type(names).__name__}.")
    classes = tuple(map(str, names))
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise InputError(f'{where}: classes must have different names, got "{twice}" twice.')
    return classes
