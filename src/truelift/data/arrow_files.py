"""Arrow files as Hugging Face's `save_to_disk` leaves them: the columns are those of its parquet files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from truelift.data.arrow_messages import check_messages
from truelift.data.columns import OF_ROWS, ColumnOptions, refuse_columns
from truelift.data.digest import of_files, of_rows
from truelift.data.files import files_ending
from truelift.data.image_files import find_named
from truelift.data.image_formats import encoded_image
from truelift.data.listing import IntArray, Labels, Listing, Opener, Source
from truelift.data.parquet_columns import holds_images
from truelift.data.parquet_rows import bytes_of_row, image_values, named_source, names_in, number_rows
from truelift.data.split_names import match_splits
from truelift.errors import InputError, one_line

_ENDING = (".arrow",)

_MARK = b"ARROW1"
_BEFORE_STREAM = 8
"""Bytes of a file that begins with the mark, before its stream of batches."""

_STATE = "state.json"
_LARGEST_STATE = 1 << 24

_CACHED = "cache-"
"""What the library's own files begin with that are no part of the data set."""


def arrow_files(path: Path) -> list[Path]:
    """The arrow files at `path`: itself, or those in the folder and its subfolders that belong to the data set, sorted.

    Where `state.json` lies beside some, it says which belong; the library's caches do not.

    Raises:
        InputError: As `files_ending`; or state.json cannot be read or names a file that is not there.
    """
    if path.is_file():
        return [path] if path.name.lower().endswith(_ENDING) else []
    there = [file for file in files_ending(path, _ENDING) if not file.name.startswith(_CACHED)]
    listed: dict[Path, set[str] | None] = {folder: _listed(folder) for folder in {file.parent for file in there}}
    for folder, names in listed.items():
        missing = sorted((names or set()) - {file.name for file in there if file.parent == folder})
        if missing:
            raise InputError(f"{folder / missing[0]}: {_STATE} beside it names this file, which is not there")
    return [file for file in there if (names := listed[file.parent]) is None or file.name in names]


def _listed(folder: Path) -> set[str] | None:
    """The names of a data set's files; None where nothing says them."""
    file = folder / _STATE
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _LARGEST_STATE:
            raise ValueError(f"it has {file.stat().st_size} bytes")
        state = json.loads(file.read_text(encoding="utf-8"))
        if state.get("_indices_files") or state.get("_indices_data_files"):
            raise ValueError("its rows are chosen by a file of indices; save it again with a newer version")
        return {str(one["filename"]) for one in state["_data_files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"cannot read {file}: {type(error).__name__}: {one_line(error)}") from error


def read_arrow(path: Path, options: ColumnOptions) -> Source:
    """The images of one arrow file, or of a folder of them, as of parquet files (see `read_parquet`).

    A `DatasetDict` has a folder for each split, a `Dataset` is for training. Files are mapped into memory, and
    nothing in them is unpacked: compressed ones are refused.

    Args:
        path: An arrow file, or a folder with some.
        options: Which columns hold what (see `parquet_columns`).

    Raises:
        InputError: As `read_parquet`.
    """
    files = arrow_files(path)
    by_split = match_splits(path, files)
    tables = {file: read_table(file) for file in files}
    schemas = {file: table.schema for file, table in tables.items()}
    rows = number_rows(path, by_split, schemas, options, lambda file, names: tables[file])
    held = {file: table.column(rows.image) for file, table in tables.items()}
    if not holds_images(held[files[0]].type) or all(map(_lacks_bytes, held.values())):
        names = {file: names_in(values) for file, values in held.items()}
        named = find_named(path, by_split, names, rows.divided, options.image_folder)
        return named_source(named, rows.numbered, "an arrow file")
    counts = {file: table.num_rows for file, table in tables.items()}
    refuse_columns(options, "encoded images", OF_ROWS)
    return rows.source(lambda split, labels: _list(by_split[split], counts, rows.image, labels))


def read_table(file: Path) -> pa.Table:
    """A file's table, mapped into memory; its offsets are checked, so that no row reaches out of it.

    A file with `ARROW1` at its beginning is read as the stream that it holds, batch after batch: its own index could
    name one batch any number of times.

    Raises:
        InputError: It cannot be read, is no arrow file, or declares what takes more memory than the file is large (see
            `arrow_messages`).
    """
    try:
        with pa.memory_map(str(file)) as mapped:
            in_place = mapped.read(len(_MARK)) == _MARK
            indexed = pa.ipc.open_file(mapped).num_record_batches if in_place else None
            mapped.seek(_BEFORE_STREAM if in_place else 0)
            batches = check_messages(mapped, mapped.size())
            if indexed not in (None, batches):
                raise ValueError(f"its index names {indexed} batches, there are {batches}")
            mapped.seek(_BEFORE_STREAM if in_place else 0)
            table = pa.ipc.open_stream(mapped).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read {file} as an arrow file: {first_line}") from error
    return table


def _lacks_bytes(values: pa.ChunkedArray) -> bool:
    """Whether a struct's bytes are null in every row, and its paths are not."""
    kind = values.type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0 or not len(values):
        return False
    flat = dict(zip((kind.field(i).name for i in range(kind.num_fields)), values.flatten(), strict=True))
    return bool(flat["bytes"].null_count == len(values) and flat["path"].null_count < len(values))


@dataclass
class _Mapped:
    """The image columns of files, mapped when they are wanted; in each process anew, and never sent to another."""

    kept: dict[str, pa.ChunkedArray] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type["_Mapped"], tuple[()]]:
        return _Mapped, ()

    def get(self, file: str, column: str) -> pa.ChunkedArray:
        """The encoded images of a file."""
        if file not in self.kept:
            self.kept[file] = image_values(read_table(Path(file)).column(column))
        return self.kept[file]


@dataclass(frozen=True)
class _Rows:
    """The rows of several files, numbered through from 0."""

    names: Sequence[str]
    starts: IntArray
    """Each file's first row, and the end of the last."""
    image_column: str
    mapped: _Mapped = field(default_factory=_Mapped)

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        return (encoded_image(partial(self._read, index)) for index in indices.tolist())

    def place(self, index: int) -> str:
        number = self._file(index)
        return f"{self.names[number]} row {index - self.starts[number]}"

    def files(self) -> Sequence[str]:
        return self.names

    def content(self) -> bytes:
        return of_files(self.names) + of_rows((), self.starts)

    def _file(self, index: int) -> int:
        return int(np.searchsorted(self.starts, index, side="right")) - 1

    def _read(self, index: int) -> bytes:
        number = self._file(index)
        values = self.mapped.get(self.names[number], self.image_column)
        return bytes_of_row(values[index - int(self.starts[number])].as_py())


def _list(files: Sequence[Path], rows: Mapping[Path, int], image_column: str, labels: Labels) -> Listing:
    starts = np.cumsum([0, *(rows[file] for file in files)])
    listed = _Rows([*map(str, files)], starts, image_column)
    return Listing(labels, listed.openers, listed.place, listed.content, listed.files)
