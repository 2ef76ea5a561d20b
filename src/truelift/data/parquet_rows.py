"""What the rows of parquet and arrow files hold: images or the names of their files, labels, and splits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truelift.data.class_names import read_class_names
from truelift.data.columns import ColumnOptions
from truelift.data.image_files import beside, list_files
from truelift.data.labels import Numbered, Raw, divided, from_columns, number_labels
from truelift.data.listing import IntArray, Labels, Listing, Source, number_names, part_of
from truelift.data.parquet_columns import Columns, class_names, find_columns, find_split_columns, require_text
from truelift.data.split_columns import Told, Words, divide_and_say, find_told, joined, words_of
from truelift.errors import InputError


def names_in(values: pa.ChunkedArray) -> list[str]:
    """The file names in a column: text, or a struct's field `path`; nothing is an empty name."""
    if pa.types.is_struct(values.type):
        return [(row or {}).get("path") or "" for row in values.to_pylist()]
    return [value or "" for value in values.to_pylist()]


def image_values(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The encoded images in a column: bytes, or a struct's field `bytes`."""
    return pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values


def bytes_of_row(encoded: bytes | None) -> bytes:
    """A row's encoded image.

    Raises:
        ValueError: It is null.
    """
    if encoded is None:
        raise ValueError("the row holds no image bytes")
    return encoded


@dataclass(frozen=True)
class Rows:
    """What the rows of all files were taken for.

    Attributes:
        image: The column with the images.
        numbered: The labels, by the splits that the images have in the end.
        divided: Of the training files the rows of each split, where a column tells them; else empty.
    """

    image: str
    numbered: Numbered
    divided: Mapping[str, IntArray]

    def source(self, listing: Callable[[str, Labels], Listing]) -> Source:
        """The data set of encoded images.

        Args:
            listing: Lists the images of the files for a split, with labels.

        Raises:
            InputError: As `Source`.
        """
        labels = self.numbered.labels
        if not self.divided:
            return self.numbered.source({split: listing(split, its) for split, its in labels.items()})
        whole = listing("train", np.empty(0, np.int64))
        parts = {split: part_of(whole, rows, labels[split]) for split, rows in self.divided.items()}
        rest = {split: listing(split, its) for split, its in labels.items() if split not in self.divided}
        return self.numbered.source({**parts, **rest})


def named_source(named: Mapping[str, Sequence[str]], numbered: Numbered, kind: str) -> Source:
    """The data set of image files that rows name.

    Args:
        named: The files, by split.
        numbered: Their labels.
        kind: Of the files that name them, for messages.

    Raises:
        InputError: As `Source`.
    """
    listings = {split: list_files(names, numbered.labels[split]) for split, names in named.items()}
    others = beside([name for names in named.values() for name in names])
    return numbered.source(listings, left_out=others, belongs=f"named in {kind}")


def number_rows(
    path: Path,
    files: Mapping[str, Sequence[Path]],
    schemas: Mapping[Path, pa.Schema],
    options: ColumnOptions,
    read: Callable[[Path, Sequence[str]], pa.Table],
) -> Rows:
    """The column with the images, and the labels of all splits.

    Args:
        path: What the user gave.
        files: By split.
        schemas: Of each file.
        options: Which columns hold what.
        read: Reads these columns of a file, or more. A test set without labels has none of them.

    Raises:
        InputError: As `find_columns`; the columns of two files are not the same; a file cannot be read, or a label is
            none.
    """
    first = files["train"][0]

    def words(file: Path, column: str) -> Words:
        return _words(read(file, [column]).column(column)).named(class_names(schemas[file], column))

    columns = find_columns(schemas[first], options, lambda column: words(first, column).tell)
    tested = files.get("test", ())
    bare = () if any(set(columns.labels) & set(schemas[file].names) for file in tested) else tested
    for file, schema in schemas.items():
        columns.require_same(file, schema, first, schemas[first], labelled=file not in bare)

    def values(file: Path) -> Any:
        if file in bare:
            return [None] * read(file, ()).num_rows
        return _values(file, columns, read(file, columns.labels), options.label_separator)

    require_text(schemas[first], columns.labels[0], options.label_separator)
    names = columns.names(schemas[first])
    names = read_class_names(path) if names is None else names
    found = {split: [*map(values, its)] for split, its in files.items()}
    told: dict[str, Told] = {}
    for split, its in files.items():
        taken, counts = (columns.image, *columns.labels), [*map(len, found[split])]
        said = [{name: words(file, name) for name in find_split_columns(schemas[file], options, taken)} for file in its]
        if (one := find_told(said, counts, _placed(its, counts))) is not None:
            told[split] = one
    chosen = divide_and_say(str(path), told, files)
    listed = columns.each or options.label_separator is not None
    if not chosen and not listed and all(_is_plain(part) for parts in found.values() for part in parts):
        return Rows(columns.image, _class_numbers(files, found, columns.labels[0], names), chosen)
    raw = {split: _joined(files[split], parts) for split, parts in found.items()}
    if chosen:
        raw |= {split: raw["train"].part(rows) for split, rows in chosen.items()}
    return Rows(columns.image, number_labels(raw, names), chosen)


def _words(values: pa.ChunkedArray) -> Words:
    """What a column says, of which a row costs next to nothing."""
    try:
        chunks = values.dictionary_encode().chunks
    except pa.ArrowException:  # of lists and the like
        return words_of(values.to_pylist())
    return joined([_words_of_chunk(chunk) for chunk in chunks])


def _words_of_chunk(chunk: pa.DictionaryArray) -> Words:
    known = words_of([*chunk.dictionary.to_pylist(), None])
    places = pc.fill_null(chunk.indices.cast(pa.int64()), len(chunk.dictionary))
    return Words(known.known, known.rows[places.to_numpy(zero_copy_only=False)])


def _values(file: Path, columns: Columns, table: pa.Table, separator: str | None) -> Any:
    """A file's labels: an arrow column, or a list."""
    if columns.each:
        said = {name: table.column(name).to_pylist() for name in columns.labels}
        return from_columns(said, lambda row: f"{file} row {row}")
    values = table.column(columns.labels[0])
    return values if separator is None else [divided(value, separator) for value in values.to_pylist()]


def _is_plain(values: Any) -> bool:
    """Whether labels are class numbers, or left out."""
    return isinstance(values, list) or bool(pa.types.is_integer(values.type))


def _class_numbers(
    files: Mapping[str, Sequence[Path]], found: Mapping[str, Sequence[Any]], column: str, names: tuple[str, ...] | None
) -> Numbered:
    """Integers as they are, in arrays: there may be millions."""
    bare_test = "test" in found and all(map(_says_nothing, found["test"]))
    labels: dict[str, Labels] = {"test": np.full(sum(map(len, found["test"])), -1, np.int64)} if bare_test else {}
    for split, parts in found.items():
        if split not in labels:
            integers = [_integers(file, part, column) for file, part in zip(files[split], parts, strict=True)]
            labels[split] = np.concatenate(integers)
    return Numbered(labels, number_names(labels["train"]) if names is None else names, bare_test)


def _says_nothing(values: Any) -> bool:
    """Whether labels are missing throughout, or −1, by which the hub's sets say the same."""
    if isinstance(values, list) or values.null_count == len(values):
        return True
    return not values.null_count and bool((np.asarray(values.to_numpy()) == -1).all())


def _integers(file: Path, values: Any, column: str) -> IntArray:
    if isinstance(values, list) or values.null_count:
        row = 0 if isinstance(values, list) else int(np.flatnonzero(values.is_null().to_numpy())[0])
        raise InputError(f'{file} row {row}: a label must be an integer, got null in "{column}"')
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _joined(files: Sequence[Path], parts: Sequence[Any]) -> Raw:
    values = [value for part in parts for value in (part if isinstance(part, list) else part.to_pylist())]
    return Raw(values, _placed(files, [*map(len, parts)]))


def _placed(files: Sequence[Path], lengths: Sequence[int]) -> Callable[[int], str]:
    """Says where a row stands, of all of the files."""
    starts = np.cumsum([0, *lengths]).tolist()

    def place(index: int) -> str:
        number = int(np.searchsorted(starts, index, side="right")) - 1
        return f"{files[number]} row {index - starts[number]}"

    return place
