"""Data sets of other libraries as listings: Hugging Face `Dataset`, torchvision's, any sequence of (image, label).

None of these libraries is imported: they are known by what they can do. Images are decoded when they are wanted. A
data set's own transforms must give a PIL image, a uint8 array or tensor, or a file; random ones would change what is
compared, and are left out.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from truelift.data.columns import OF_ROWS, ColumnOptions, refuse_columns
from truelift.data.digest import of_arrays
from truelift.data.given_images import array_of, image_of, open_item
from truelift.data.image_formats import open_bytes, open_file
from truelift.data.labels import divided
from truelift.data.listing import IntArray, Opener
from truelift.data.parquet_columns import class_names, find_columns, find_split_columns, require_text
from truelift.data.split_columns import Told, Words, find_told, words_of
from truelift.errors import InputError
from truelift.own import raised

# Images, evenly from all, that a digest looks at: each has to be made.
_LOOKED_AT = 64

_LABEL_ATTRIBUTES = ("targets", "labels", "_labels")


@dataclass(frozen=True)
class Given:
    """One split of a user's data set.

    Attributes:
        count: N.
        open: Opens image i.
        sample: Image i as bytes, or values, that change with it.
        labels: As they are there: an array, or a list.
        names: Of the classes, where they are known.
        where: What it is, for messages.
        told: What a column says of splits.
        rows: Of each image its number there; None: the same.
        has_columns: Whether it is a table, as Hugging Face's are.
    """

    count: int
    open: Callable[[int], Image.Image]
    sample: Callable[[int], np.ndarray[Any, Any]]
    labels: Any
    names: tuple[str, ...] | None
    where: str
    told: Told | None = None
    rows: IntArray | None = None
    has_columns: bool = False

    def part(self, rows: IntArray) -> "Given":
        """Some of its images, by ascending numbers."""
        return replace(self, count=len(rows), labels=[self.labels[row] for row in rows.tolist()], rows=rows)

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        """The opener of each."""
        return (partial(self.open, self._row(index)) for index in indices.tolist())

    def place(self, index: int) -> str:
        """Its number."""
        return f"{self.where} image {self._row(index)}"

    def content(self) -> bytes:
        """Of some images evenly from all: each has to be made."""
        some = np.linspace(0, self.count - 1, min(self.count, _LOOKED_AT)).round().astype(int)
        return of_arrays([self.sample(self._row(index)) for index in some.tolist()])

    def files(self) -> Sequence[str]:
        """None: what is made anew each time may change without a file that does."""
        return ()

    def _row(self, index: int) -> int:
        return index if self.rows is None else int(self.rows[index])


def is_data_set(given: Any) -> bool:
    """Whether something is a Hugging Face `Dataset`, or a sequence of items."""
    if _is_hugging_face(given):
        return True
    is_other = isinstance(given, str | bytes | Mapping | torch.Tensor | np.ndarray | tuple)
    if is_other or not (hasattr(given, "__getitem__") and hasattr(given, "__len__")):
        return False
    return not isinstance(given, list) or (bool(given) and all(map(_is_pair, given)))


def read_data_set(where: str, given: Any, options: ColumnOptions) -> Given:
    """A split from a data set.

    Args:
        where: What it is, for messages.
        given: The data set.
        options: Which of a `Dataset`'s columns hold what.

    Raises:
        InputError: It has no such columns or items, or raises.
    """
    return _from_columns(where, given, options) if _is_hugging_face(given) else _from_items(where, given)


def _is_hugging_face(given: Any) -> bool:
    known = type(given).__module__.startswith("datasets.")
    return known and hasattr(given, "features") and not isinstance(given, Mapping)


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2


def _from_columns(where: str, given: Any, options: ColumnOptions) -> Given:
    if not hasattr(given, "__len__"):
        raise InputError(f"{where}: a data set that is streamed has no order; load it without streaming=True.")
    schema: pa.Schema = given.features.arrow_schema

    def values(column: str) -> Any:
        return given.select_columns([column]).with_format(None)[:][column]

    def words(column: str) -> Words:
        return words_of([*values(column)]).named(class_names(schema, column))

    try:
        refuse_columns(options, "a data set of Hugging Face", OF_ROWS)
        columns = find_columns(schema, options, lambda column: words(column).tell)
        require_text(schema, columns.labels[0], options.label_separator)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if columns.each:
        raise InputError(f"{where}: data.label_columns must be left out, give one column of lists.")
    library = sys.modules["datasets"]
    images = given.select_columns([columns.image])
    if isinstance(given.features[columns.image], library.Image):
        images = images.cast_column(columns.image, library.Image(decode=False))
    images = images.with_format(None)
    labels = values(columns.labels[0])

    def encoded(index: int) -> bytes | str:
        found = images[index][columns.image]
        if isinstance(found, Mapping):
            found = found.get("bytes") or found.get("path")
        if not isinstance(found, bytes | str):
            raise ValueError("the row holds no image")
        return found

    def opened(index: int) -> Image.Image:
        found = encoded(index)
        return open_file(found) if isinstance(found, str) else open_bytes(found)

    def sample(index: int) -> np.ndarray[Any, Any]:
        found = encoded(index)
        return np.frombuffer(found.encode() if isinstance(found, str) else found, dtype=np.uint8)

    if options.label_separator is not None:
        labels = [divided(label, options.label_separator) for label in labels]
    said = {column: words(column) for column in find_split_columns(schema, options, (columns.image, *columns.labels))}
    told = find_told([said], [len(images)], lambda index: f"{where} image {index}")
    return Given(len(images), opened, sample, labels, class_names(schema, columns.labels[0]), where, told, None, True)


def _from_items(where: str, given: Any) -> Given:
    count = len(given)

    def taken(index: int) -> Any:
        return image_of(f"{where} image {index}", _item(where, given, index)[0])

    def opened(index: int) -> Image.Image:
        return open_item(taken(index))

    def sample(index: int) -> np.ndarray[Any, Any]:
        try:
            item = taken(index)
        except InputError:  # decoding reports it
            return np.empty(0, np.uint8)
        return np.frombuffer(item.encode(), np.uint8) if isinstance(item, str) else np.asarray(item)

    if count:
        taken(0)  # so that what is no image is told before a training
    return Given(count, opened, sample, _labels(where, given), _names(given), where)


def _item(where: str, given: Any, index: int) -> Any:
    try:
        item = given[index]
    except (Exception, SystemExit) as error:
        raise InputError(f"{where} image {index}: the data set {raised(error)}.") from error
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InputError(f"{where} image {index}: must be (image, label), got {type(item).__name__}.")
    return item


def _labels(where: str, given: Any) -> list[Any]:
    """Each image's label: as the data set lists them, where it does, or from every item."""
    count = len(given)
    listed = _listed(given)
    if listed is not None and len(listed) == count:
        some = sorted({0, count // 2, count - 1} - {count}) if count else []
        if all(np.array_equal(_plain(_item(where, given, index)[1]), listed[index]) for index in some):
            return listed
    return [_plain(_item(where, given, index)[1]) for index in range(count)]


def _listed(given: Any) -> list[Any] | None:
    """The labels that a data set lists, without making an image; None where it lists none."""
    base, indices = getattr(given, "dataset", None), getattr(given, "indices", None)
    if base is not None and indices is not None:  # torch's Subset
        inner = _listed(base)
        return None if inner is None else [inner[index] for index in indices]
    if not hasattr(given, "transforms") or getattr(given, "target_transform", None) is not None:
        return None  # it is none of torchvision's; or the labels of its items are others
    if given.transforms is not None and getattr(given, "transform", None) is None:
        return None  # one transform of both may change labels
    found = next((getattr(given, name) for name in _LABEL_ATTRIBUTES if hasattr(given, name)), None)
    if not isinstance(found, list | np.ndarray | torch.Tensor):
        return None
    return [*map(_plain, found)]


def _plain(label: Any) -> Any:
    """A label as Python has it; a row of numbers as an array."""
    if not isinstance(label, torch.Tensor | np.ndarray | np.generic):
        return label
    array = array_of(label)
    return array.item() if array.ndim == 0 else array


def _names(given: Any) -> tuple[str, ...] | None:
    """The classes' names that a data set, or the one that it is a part of, has."""
    found = getattr(given, "classes", None)
    if found is None and hasattr(given, "dataset"):
        return _names(given.dataset)
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        return None
    return tuple(found) if len(set(found)) == len(found) else None
