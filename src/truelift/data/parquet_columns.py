"""Which columns of parquet and arrow files hold images and labels, and the labels themselves."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truelift.data.class_names import names_of, read_class_names
from truelift.data.columns import ColumnOptions, find_split, named_image, named_labels
from truelift.data.image_files import beside, list_files
from truelift.data.labels import Numbered, Raw, divided, from_columns, number_labels
from truelift.data.listing import IntArray, Labels, Listing, Source, number_names, part_of
from truelift.data.split_columns import Told, divide, say_divided
from truelift.errors import InputError, one_line

_LABELS = "label (integer, text or boolean)"


@dataclass(frozen=True)
class Columns:
    """The columns of a data set's files.

    Attributes:
        image: Encoded images, or the names of their files.
        labels: One column with labels, or with `each` one for each class.
        each: Whether each column says yes or no of a class.
        split: What is named for splits.
    """

    image: str
    labels: tuple[str, ...]
    each: bool = False
    split: str | None = None

    def names(self, schema: pa.Schema) -> tuple[str, ...] | None:
        """The classes' names, as far as the files say them."""
        return self.labels if self.each else class_names(schema, self.labels[0])

    def require_same(self, file: Path, schema: pa.Schema, first: Path, expected: pa.Schema, *, labelled: bool) -> None:
        """Refuse a file whose columns are not those of the first.

        One is missing or there twice, the images are held in another way, or the classes have other names.

        Raises:
            InputError: It does.
        """
        wanted = (self.image, *(self.labels if labelled else ()))
        missing = [name for name in wanted if name not in schema.names]
        if missing:
            told = ", ".join(schema.names)
            raise InputError(f'{file} has no column "{missing[0]}" as {first} has; its columns: {told}')
        for name in wanted:
            if (count := schema.names.count(name)) > 1:
                raise InputError(f'{file} must have the column "{name}" once, got it {count} times')
        kind, other = schema.field(self.image).type, expected.field(self.image).type
        if _held(kind) != _held(other):
            raise InputError(
                f'{file} has "{self.image}" of type {kind}, {first} of type {other}; they must hold the same'
            )
        if labelled and self.names(schema) != self.names(expected):
            raise InputError(f'{file} and {first} name the classes of "{self.labels[0]}" differently')


def find_columns(schema: pa.Schema, options: ColumnOptions) -> Columns:
    """The columns that `options` name, or that can be meant.

    Images: the only column with bytes, a struct with the field `bytes` or plain binary; where there is none, text whose
    name is one for files (see `columns`), or a struct with the field `path`. Labels: the only ClassLabel column of the
    hub's metadata; or the one that is named for labels, of several such the only integers; or the only integers; or the
    only other column of text or booleans. What is named for splits is none of them, unless `options` name it.

    Raises:
        InputError: There is no such column, or more than one.
    """
    image, split = find_images(schema, options.image_column), find_split(schema.names, options)
    split = None if split == image or schema.names.count(split) > 1 else split
    if options.label_columns is None:
        return Columns(image, (_label_column(schema, (image, split), options.label_column),), split=split)
    for name in options.label_columns:
        kind = _wanted_type(schema, name, "data.label_columns")
        if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)):
            raise InputError(f'data.label_columns must name 0 and 1 or booleans, got "{name}" of type {kind}')
    return Columns(image, options.label_columns, each=True, split=split)


def find_images(schema: pa.Schema, wanted: str | None) -> str:
    """The column with images: the one that is wanted, or as `find_columns`.

    Raises:
        InputError: There is none, more than one, or not the one that is wanted.
    """
    if wanted is not None:
        kind = _wanted_type(schema, wanted, "data.image_column")
        if not holds_images(kind) and not _is_text(kind) and not _holds_paths(kind):
            raise InputError(
                f'data.image_column must name encoded images (bytes) or their files, got "{wanted}" of type {kind}'
            )
        return wanted
    found = [field.name for field in schema if holds_images(field.type)]
    if not found:
        found = [field.name for field in schema if _holds_paths(field.type)]
    if not found:
        named = named_image([field.name for field in schema if _is_text(field.type)])
        found = [] if named is None else [named]
    return _only(found, "image (bytes, or files' names)", "data.image_column", schema)


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of this type holds encoded images."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return _is_binary(kind)


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

    def named(self, names: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """The image files that rows name, by the splits of the files, as those of the splits that they have."""
        parts = {split: [names["train"][row] for row in rows.tolist()] for split, rows in self.divided.items()}
        return {**names, **parts}


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
    columns = find_columns(schemas[first], options)
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
    told = {split: its for split, paths in files.items() if (its := _told(paths, schemas, columns.split, read))}
    chosen = divide(str(path), told, files)
    say_divided(str(path), told, chosen)
    listed = columns.each or options.label_separator is not None
    if not chosen and not listed and all(_is_plain(part) for parts in found.values() for part in parts):
        return Rows(columns.image, _class_numbers(files, found, columns.labels[0], names), chosen)
    raw = {split: _joined(files[split], parts) for split, parts in found.items()}
    if chosen:
        raw |= {split: raw["train"].part(rows) for split, rows in chosen.items()}
    return Rows(columns.image, number_labels(raw, names), chosen)


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """The ClassLabel names of `column`, in label order, where the metadata of the Hugging Face hub gives them."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
        if feature.get("_type") in ("List", "LargeList", "Sequence"):  # several labels an image
            feature = feature.get("feature", {})
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
        return None if names is None else names_of(names)
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f'the class names of "{column}" cannot be read: {one_line(error)}') from error


def _label_column(schema: pa.Schema, others: Sequence[str | None], wanted: str | None) -> str:
    if wanted is not None:
        kind = _wanted_type(schema, wanted, "data.label_column")
        if not _holds_labels(kind):
            raise InputError(f'data.label_column must name integers, text or booleans, got "{wanted}" of type {kind}')
        return wanted
    labels = [field.name for field in schema if _holds_labels(field.type) and field.name not in others]
    integers = [field.name for field in schema if field.name in labels and pa.types.is_integer(field.type)]
    classes = [name for name in labels if class_names(schema, name) is not None]
    told = named_labels(labels)
    found = classes or ([name for name in told if name in integers] if len(told) > 1 else []) or told
    return _only(found or integers or labels, _LABELS, "data.label_column", schema)


def _held(kind: pa.DataType) -> str:
    """What a column of images holds; large and small types, structs and plain ones are read alike."""
    if holds_images(kind):
        return "images"
    return "names" if _holds_paths(kind) or _is_text(kind) else "neither"


def _holds_paths(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("path") >= 0 and _is_text(kind.field("path").type))


def _holds_labels(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _wanted_type(schema: pa.Schema, name: str, option: str) -> pa.DataType:
    if schema.names.count(name) > 1:
        raise InputError(f'{option} must be a column that the file has once, got "{name}"')
    if name not in schema.names:
        raise InputError(f'{option} must be a column of the file ({", ".join(schema.names)}), got "{name}"')
    return schema.field(name).type


def _only(found: Sequence[str], kind: str, option: str, schema: pa.Schema) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"more than one {kind} column: {', '.join(found)}; choose one with --{option}")
    raise InputError(f"no {kind} column among {', '.join(schema.names)}; name it with --{option}")


def require_text(schema: pa.Schema, column: str, separator: str | None) -> None:
    """Refuse to divide labels that are no text.

    Raises:
        InputError: There is a separator, and the column holds no text.
    """
    kind = schema.field(column).type
    if separator is not None and not _is_text(kind.value_type if pa.types.is_dictionary(kind) else kind):
        raise InputError(
            f'data.label_separator must be left out where labels are no text, got {separator!r} and "{column}" of '
            f"type {kind}"
        )


def _values(file: Path, columns: Columns, table: pa.Table, separator: str | None) -> Any:
    """A file's labels: an arrow column, or a list."""
    if columns.each:
        said = {name: table.column(name).to_pylist() for name in columns.labels}
        return from_columns(said, lambda row: f"{file} row {row}")
    values = table.column(columns.labels[0])
    return values if separator is None else [divided(value, separator) for value in values.to_pylist()]


def _told(
    files: Sequence[Path],
    schemas: Mapping[Path, pa.Schema],
    column: str | None,
    read: Callable[[Path, Sequence[str]], pa.Table],
) -> Told | None:
    """What a column says of splits in all rows of the files; None where none has it."""
    having = {file for file in files if schemas[file].names.count(column) == 1}
    if column is None or not having:
        return None
    parts = [
        split_words(schemas[file], column, read(file, [column]).column(column))
        if file in having
        else [None] * read(file, ()).num_rows
        for file in files
    ]
    joined = _joined(files, parts)
    return Told(column, joined.values, joined.place)


def split_words(schema: pa.Schema, column: str, values: Any) -> list[Any]:
    """What a column says of splits; class numbers by their names."""
    names = class_names(schema, column)
    listed = values if isinstance(values, list) else values.to_pylist()
    return [names[value] if names and value in range(len(names)) else value for value in listed]


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
    starts = np.cumsum([0, *map(len, parts)]).tolist()

    def place(index: int) -> str:
        number = int(np.searchsorted(starts, index, side="right")) - 1
        return f"{files[number]} row {index - starts[number]}"

    return Raw(values, place)
