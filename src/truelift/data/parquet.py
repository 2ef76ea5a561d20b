"""Parquet files of the Hugging Face image schema: an image column and a class number a row."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from truelift.data.columns import OF_ROWS, ColumnOptions, refuse_columns
from truelift.data.digest import of_files, of_rows
from truelift.data.files import files_ending
from truelift.data.image_files import find_named, list_files
from truelift.data.image_formats import encoded_image
from truelift.data.listing import IntArray, Labels, Listing, Opener, Source
from truelift.data.parquet_columns import Columns, find_images, holds_images
from truelift.data.parquet_rows import bytes_of_row, image_values, named_source, names_in, number_rows
from truelift.data.split_names import match_splits, split_of
from truelift.errors import InputError

# Of encoded images, in each process that reads them in random order.
_KEPT_BYTES = 1 << 28

# Of a column in a row group, decompressed: encoded images hardly shrink, labels do, but are small.
_LARGEST_PART = 1 << 28
_LARGEST_RATIO = 100

_BY_ITSELF = ColumnOptions()

T = TypeVar("T")


def opened(file: Path, read: Callable[[pq.ParquetFile], T]) -> T:
    """`read` of the opened file, with the one error for a file that is missing, truncated or no parquet file."""
    try:
        with pq.ParquetFile(file) as parquet:
            return read(parquet)
    except (pa.ArrowException, OSError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read {file} as parquet: {first_line}") from error


def parquet_files(path: Path) -> list[Path]:
    """The parquet files at `path`: itself, or those in the folder and its subfolders, sorted; empty where none.

    Where none is so near, one level deeper too, as the hub converts data sets: `default/train/0000.parquet`. These are
    of one configuration.

    Raises:
        InputError: There are several configurations, or as `files_ending`.
    """
    if path.is_file():
        return [path]
    found = files_ending(path, (".parquet",), deeper=True)
    outer = sorted({file.relative_to(path).parts[0] for file in found if len(file.relative_to(path).parts) == 3})
    if len(outer) > 1 and not all(split_of(name, path) for name in outer):
        raise InputError(
            f"data.path must hold one configuration, got {len(outer)} in {path}: {', '.join(outer)}; give one of them"
        )
    return found


def read_parquet(path: Path, options: ColumnOptions = _BY_ITSELF) -> Source:
    """The images of one parquet file, or of a folder of them.

    Files are matched to splits by a word in their name, or else in their folder's name (`train-00000-of-00002.parquet`,
    `data/test-*.parquet`, `valid/0.parquet`). Where no file has such a word, or `path` is one file, all is for
    training. A column named for splits is read (see `split_columns`). Class names come from the `huggingface` metadata
    where present; otherwise a class is named by its number, or as the label says (see `labels`). A test set without
    labels, or with −1 throughout, is one that can be predicted alone.

    Args:
        path: A parquet file, or a folder with some.
        options: Which columns hold what (see `parquet_columns`).

    Raises:
        InputError: A file cannot be read, files or columns cannot be matched, or a label is wrong.
    """
    files = parquet_files(path)
    by_split = match_splits(path, files)
    schemas = _schemas(files)
    rows = number_rows(path, by_split, schemas, options, _read_columns)
    named = _named(path, by_split, schemas, rows.image, rows.divided, options.image_folder)
    if named is not None:
        return named_source(named, rows.numbered, "a parquet file")
    refuse_columns(options, "encoded images", OF_ROWS)
    return rows.source(lambda split, labels: _list(by_split[split], rows.image, labels))


def list_parquet(path: Path) -> Listing:
    """The images of one parquet file, or of all in a folder, whatever their labels and splits: every label is −1.

    Raises:
        InputError: A file cannot be read, or its columns are not those of the first or tell no images.
    """
    files = parquet_files(path)
    schemas = _schemas(files)
    columns = Columns(find_images(schemas[files[0]], None), ())
    for file, schema in schemas.items():
        columns.require_same(file, schema, files[0], schemas[files[0]], labelled=False)
    named = _named(path, {"train": files}, schemas, columns.image, {}, None)
    labels = np.full(sum(opened(file, lambda f: f.metadata.num_rows) for file in files), -1, dtype=np.int64)
    return _list(files, columns.image, labels) if named is None else list_files(named["train"], labels)


def _schemas(files: Sequence[Path]) -> dict[Path, pa.Schema]:
    """Of each file, none of which is read before its sizes were looked at."""
    for file in files:
        opened(file, partial(_refuse_bombs, size=file.stat().st_size))
    return {file: opened(file, lambda f: f.schema_arrow) for file in files}


def _named(
    path: Path,
    by_split: Mapping[str, Sequence[Path]],
    schemas: Mapping[Path, pa.Schema],
    image: str,
    divided: Mapping[str, IntArray],
    folder: str | None,
) -> dict[str, list[str]] | None:
    """By split the image files that rows name; None where the rows hold the images."""
    files = [*schemas]
    held = holds_images(schemas[files[0]].field(image).type)
    if held and not all(opened(file, partial(_lacks_bytes, column=image)) for file in files):
        return None
    names = {file: names_in(opened(file, lambda f: f.read(columns=[image])).column(0)) for file in files}
    return find_named(path, by_split, names, divided, folder)


def _read_columns(file: Path, names: Sequence[str]) -> pa.Table:
    declared = opened(file, lambda f: f.metadata.num_rows)
    table = opened(file, lambda f: f.read(columns=[*names]))
    if table.num_rows != declared:
        raise InputError(f"cannot read {file} as parquet: it declares {declared} rows and has {table.num_rows}")
    return table


def _lacks_bytes(file: pq.ParquetFile, column: str) -> bool:
    """Whether a struct's bytes are null in every row, as the file's statistics say, and its paths are not."""
    kind = file.schema_arrow.field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0 or not file.metadata.num_rows:
        return False
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    chunks = [group.column(c) for group in groups for c in range(group.num_columns)]

    def empty(field: str) -> bool:
        about = [chunk.statistics for chunk in chunks if chunk.path_in_schema == f"{column}.{field}"]
        counts = [s.null_count if s is not None and s.has_null_count else 0 for s in about]
        return bool(sum(counts) == file.metadata.num_rows)

    return empty("bytes") and not empty("path")


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
                encoded = values[int(row)].as_py()
                yield encoded_image(partial(bytes_of_row, encoded))

    def place(self, index: int) -> str:
        file = self.groups[int(np.searchsorted(self.starts, index, side="right")) - 1][0]
        return f"{file} row {index - self.file_starts[file]}"

    def files(self) -> list[str]:
        return [*map(str, self.file_starts)]

    def content(self) -> bytes:
        return of_files(self.files()) + of_rows((), self.starts)

    def _read(self, group: int) -> pa.ChunkedArray:
        file, number = self.groups[group]
        return opened(file, partial(_read_group, group=number, column=self.image_column))


def _list(files: Sequence[Path], image_column: str, labels: Labels) -> Listing:
    lengths = [opened(file, _group_lengths) for file in files]
    file_starts = np.cumsum([0, *map(sum, lengths)]).tolist()
    groups = [(file, number) for file, counts in zip(files, lengths, strict=True) for number in range(len(counts))]
    starts = np.cumsum([0, *(count for counts in lengths for count in counts)])
    rows = _Rows(groups, starts, dict(zip(files, file_starts, strict=False)), image_column)
    return Listing(labels, rows.openers, rows.place, rows.content, rows.files)


def _group_lengths(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]


def _read_group(file: pq.ParquetFile, group: int, column: str) -> pa.ChunkedArray:
    return image_values(file.read_row_group(group, columns=[column], use_threads=False).column(0))
