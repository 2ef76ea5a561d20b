"""Parquet files of the Hugging Face image schema: an image column and a class number a row."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from truelift.data.class_names import names_of
from truelift.data.digest import of_files, of_rows
from truelift.data.files import files_ending
from truelift.data.image_formats import open_bytes
from truelift.data.listing import IntArray, Listing, Opener, Source, number_names
from truelift.data.split_names import match_splits
from truelift.errors import InputError, one_line
from truelift.options import OPERATIONAL

T = TypeVar("T")

# Of encoded images, in each process that reads them in random order.
_KEPT_BYTES = 1 << 28

# Of a column in a row group, decompressed: encoded images hardly shrink, labels do, but are small.
_LARGEST_PART = 1 << 28
_LARGEST_RATIO = 100


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """What a parquet file's columns hold."""

    image_column: Annotated[str | None, OPERATIONAL] = None
    """Parquet column with the images; found by itself where only one can be meant."""

    label_column: Annotated[str | None, OPERATIONAL] = None
    """Parquet column with the labels; found by itself where only one can be meant."""


def parquet_files(path: Path) -> list[Path]:
    """The parquet files at `path`: itself, or those in the folder and its subfolders, sorted; empty where none."""
    return [path] if path.is_file() else files_ending(path, (".parquet",))


def read_parquet(path: Path, *, image_column: str | None = None, label_column: str | None = None) -> Source:
    """The images of one parquet file, or of a folder of them.

    Files are matched to splits by a word in their name, or else in their folder's name (`train-00000-of-00002.parquet`,
    `data/test-*.parquet`, `valid/0.parquet`). Where no file has such a word, or `path` is one file, all is for
    training. Class names come from the `huggingface` metadata where present; otherwise a class is named by its number.

    Args:
        path: A parquet file, or a folder with some.
        image_column: Struct with the field `bytes`, or plain binary. By default the only such column.
        label_column: Integers. By default the only ClassLabel column of the metadata, or else the only integer one.

    Raises:
        InputError: A file cannot be read, files or columns cannot be matched, or a label is wrong.
    """
    files = parquet_files(path)
    by_split = {"train": files} if path.is_file() else match_splits(path, files)
    for file in files:
        _opened(file, partial(_refuse_bombs, size=file.stat().st_size))
    schemas = {file: _opened(file, lambda f: f.schema_arrow) for file in files}
    first = by_split["train"][0]
    image = _image_column(schemas[first], image_column)
    label = _label_column(schemas[first], label_column)
    names = _class_names(schemas[first], label)
    for file, schema in schemas.items():
        missing = [name for name in (image, label) if name not in schema.names]
        if missing:
            raise InputError(
                f'{file} has no column "{missing[0]}" as {first} has; its columns: {_listed(schema.names)}'
            )
        if _class_names(schema, label) != names:
            raise InputError(f'{file} and {first} name the classes of "{label}" differently')
    listings = {split: _list(files, image, label) for split, files in by_split.items()}
    train = listings["train"]
    return Source(
        train, listings.get("validation"), listings.get("test"), number_names(train) if names is None else names
    )


def _opened(file: Path, read: Callable[[pq.ParquetFile], T]) -> T:
    """`read` of the opened file, with the one error for a file that is missing, truncated or no parquet file."""
    try:
        with pq.ParquetFile(file) as opened:
            return read(opened)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot read {file} as parquet: {_first_line(error)}") from error


def _refuse_bombs(file: pq.ParquetFile, size: int) -> None:
    """Refuse a file that claims to hold far more than its size allows, before memory is taken for it.

    Raises:
        OSError: It does.
    """
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows = [group.num_rows for group in groups]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
        raise OSError(f"{metadata.num_rows} rows are declared, its parts have {sum(rows)}")
    if metadata.num_rows > size:  # an encoded image has a hundred bytes at the least
        raise OSError(f"{metadata.num_rows} rows are declared in {size} bytes")
    largest = max(
        (group.column(c).total_uncompressed_size for group in groups for c in range(group.num_columns)), default=0
    )
    if largest > max(_LARGEST_PART, _LARGEST_RATIO * size):
        raise OSError(f"a part of {largest} bytes is declared in {size} bytes")


def _image_column(schema: pa.Schema, wanted: str | None) -> str:
    if wanted is not None:
        kind = _wanted_type(schema, wanted, "data.image_column")
        if not _holds_images(kind):
            raise InputError(f'data.image_column must name encoded images (bytes), got "{wanted}" of type {kind}')
        return wanted
    found = [field.name for field in schema if _holds_images(field.type)]
    return _only(found, "image (bytes)", "data.image_column", schema)


def _label_column(schema: pa.Schema, wanted: str | None) -> str:
    if wanted is not None:
        kind = _wanted_type(schema, wanted, "data.label_column")
        if not pa.types.is_integer(kind):
            raise InputError(f'data.label_column must name integers, got "{wanted}" of type {kind}')
        return wanted
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    named = [name for name in integers if _class_names(schema, name) is not None]
    return _only(named or integers, "label (integer)", "data.label_column", schema)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _wanted_type(schema: pa.Schema, name: str, option: str) -> pa.DataType:
    if schema.names.count(name) > 1:
        raise InputError(f'{option} must be a column that the file has once, got "{name}"')
    if name not in schema.names:
        raise InputError(f'{option} must be a column of the file ({_listed(schema.names)}), got "{name}"')
    return schema.field(name).type


def _only(found: Sequence[str], kind: str, option: str, schema: pa.Schema) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"more than one {kind} column: {_listed(found)}; choose one with --{option}")
    raise InputError(f"no {kind} column among {_listed(schema.names)}; name it with --{option}")


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """The ClassLabel names of `column`, in label order, where the metadata of the Hugging Face hub gives them."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
        return None if names is None else names_of(names)
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f'the class names of "{column}" cannot be read: {one_line(error)}') from error


class _Recent:
    """The row groups read last, in each process its own: images come in random order where they are streamed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, pa.ChunkedArray] = OrderedDict()

    def get(self, group: int, read: Callable[[], pa.ChunkedArray]) -> pa.ChunkedArray:
        """Row group number `group`, by `read` where it is not kept."""
        if group not in self._kept:
            self._kept[group] = read()
            while len(self._kept) > 1 and sum(values.nbytes for values in self._kept.values()) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(group)
        return self._kept[group]


@dataclass(frozen=True)
class _Rows:
    """The rows of several files, numbered through from 0."""

    groups: Sequence[tuple[Path, int]]
    """Each row group's file, and its number there."""
    starts: IntArray
    """Each row group's first row, and the end of the last."""
    file_starts: dict[Path, int]
    image_column: str
    recent: _Recent = field(default_factory=_Recent)

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        ends = np.searchsorted(indices, self.starts)
        for group in np.flatnonzero(np.diff(ends)).tolist():
            values = self.recent.get(group, partial(self._read, group))
            for row in indices[ends[group] : ends[group + 1]] - self.starts[group]:
                yield partial(_open, values[int(row)].as_py())

    def place(self, index: int) -> str:
        file = self.groups[int(np.searchsorted(self.starts, index, side="right")) - 1][0]
        return f"{file} row {index - self.file_starts[file]}"

    def files(self) -> list[str]:
        return list(map(str, self.file_starts))

    def content(self) -> bytes:
        return of_files(self.files()) + of_rows((), self.starts)

    def _read(self, group: int) -> pa.ChunkedArray:
        file, number = self.groups[group]
        return _opened(file, partial(_read_group, group=number, column=self.image_column))


def _list(files: Sequence[Path], image_column: str, label_column: str) -> Listing:
    labels = [_labels(file, label_column) for file in files]
    file_starts = np.cumsum([0, *map(len, labels)]).tolist()
    lengths = [_opened(file, _group_lengths) for file in files]
    groups = [(file, number) for file, counts in zip(files, lengths, strict=True) for number in range(len(counts))]
    starts = np.cumsum([0, *(count for counts in lengths for count in counts)])
    rows = _Rows(groups, starts, dict(zip(files, file_starts, strict=False)), image_column)
    return Listing(np.concatenate(labels), rows.openers, rows.place, rows.content, rows.files)


def _group_lengths(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]


def _labels(file: Path, column: str) -> IntArray:
    values = _opened(file, lambda f: f.read(columns=[column]).column(0))
    if values.null_count:
        row = int(np.flatnonzero(values.is_null().to_numpy())[0])
        raise InputError(f'{file} row {row}: a label must be an integer, got null in "{column}"')
    labels = np.asarray(values.to_numpy(), dtype=np.int64)
    declared = _opened(file, lambda f: f.metadata.num_rows)
    if len(labels) != declared:
        raise InputError(f"cannot read {file} as parquet: it declares {declared} rows and has {len(labels)}")
    return labels


def _read_group(file: pq.ParquetFile, group: int, column: str) -> pa.ChunkedArray:
    values = file.read_row_group(group, columns=[column], use_threads=False).column(0)
    return pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values


def _open(encoded: bytes | None) -> Image.Image:
    if encoded is None:
        raise ValueError("the row holds no image bytes")
    return open_bytes(encoded)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
