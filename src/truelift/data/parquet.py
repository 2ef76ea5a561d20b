"""Parquet files of the Hugging Face image schema: an image column and a class number a row."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from truelift.data.listing import SPLIT_OF_WORD, IntArray, Listing, Opener, Source
from truelift.errors import InputError

T = TypeVar("T")

# Without class names the labels alone tell how many classes there are; above this, they are not class numbers.
_MOST_UNNAMED_CLASSES = 100_000


def parquet_files(path: Path) -> list[Path]:
    """The parquet files at `path`: itself, or those in the folder and its subfolders, sorted; empty where none."""
    if path.is_file():
        return [path]
    # Two levels, as on the hub (`train.parquet`, `data/train.parquet`): a tree of photographs is not searched in full.
    return sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")])


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
    by_split = {"train": files} if path.is_file() else _match_splits(path, files)
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
    if names is None:
        top = int(train.labels.max(initial=-1))
        names = tuple(map(str, range(min(top + 1, _MOST_UNNAMED_CLASSES))))
    return Source(train, listings.get("validation"), listings.get("test"), names)


def _match_splits(root: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = {}
    unmatched = []
    for file in files:
        parts = file.relative_to(root).parts
        # The file's own name first; only where it says nothing, the folder's.
        split = next(filter(None, (_split_of(part, file) for part in reversed(parts))), None)
        if split is None:
            unmatched.append(file)
        else:
            splits.setdefault(split, []).append(file)
    if not splits:
        return {"train": list(files)}
    if unmatched:
        raise InputError(f"a file beside those of named splits must name its split too, got {unmatched[0]}")
    if "train" not in splits:
        raise InputError(f"no file is named for the training split in {root}: {_listed(f.name for f in files)}")
    return splits


def _split_of(name: str, file: Path) -> str | None:
    words = re.split(r"[^a-z]+", name.lower())
    found = {SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD}
    if len(found) > 1:
        raise InputError(f"a file's name must tell one split, got {_listed(sorted(found))} in {file}")
    return found.pop() if found else None


def _opened(file: Path, read: Callable[[pq.ParquetFile], T]) -> T:
    """`read` of the opened file, with the one error for a file that is missing, truncated or no parquet file."""
    try:
        with pq.ParquetFile(file) as opened:
            return read(opened)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot read {file} as parquet: {_first_line(error)}") from error


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
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return None if names is None else tuple(names)


@dataclass(frozen=True)
class _Rows:
    """The rows of several files, numbered through from 0; the files begin at `starts`, (number of files + 1,)."""

    files: Sequence[Path]
    starts: IntArray
    image_column: str

    def openers(self, indices: IntArray) -> Iterator[Opener]:
        for n, file in enumerate(self.files):
            rows = indices[(indices >= self.starts[n]) & (indices < self.starts[n + 1])] - self.starts[n]
            yield from _file_openers(file, rows, self.image_column)

    def place(self, index: int) -> str:
        n = int(np.searchsorted(self.starts, index, side="right")) - 1
        return f"{self.files[n]} row {index - self.starts[n]}"


def _list(files: Sequence[Path], image_column: str, label_column: str) -> Listing:
    labels = [_labels(file, label_column) for file in files]
    starts = np.cumsum([0, *map(len, labels)])
    rows = _Rows(files, starts, image_column)
    return Listing(np.concatenate(labels), rows.openers, rows.place)


def _labels(file: Path, column: str) -> IntArray:
    values = _opened(file, lambda f: f.read(columns=[column]).column(0))
    if values.null_count:
        row = int(np.flatnonzero(values.is_null().to_numpy())[0])
        raise InputError(f'{file} row {row}: a label must be an integer, got null in "{column}"')
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _file_openers(file: Path, rows: IntArray, column: str) -> Iterator[Opener]:
    """The openers of ascending `rows`; each row group that holds some of them is read once, one at a time."""
    start = 0
    groups = _opened(file, lambda f: [f.metadata.row_group(g).num_rows for g in range(f.metadata.num_row_groups)])
    for group, count in enumerate(groups):
        wanted = rows[(rows >= start) & (rows < start + count)] - start
        start += count
        if len(wanted) == 0:
            continue
        values = _opened(file, partial(_read_group, group=group, column=column))
        for row in wanted:
            yield partial(_open, values[int(row)].as_py())


def _read_group(file: pq.ParquetFile, group: int, column: str) -> pa.ChunkedArray:
    values = file.read_row_group(group, columns=[column]).column(0)
    return pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values


def _open(encoded: bytes | None) -> Image.Image:
    if encoded is None:
        raise ValueError("the row holds no image bytes")
    return Image.open(io.BytesIO(encoded))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
