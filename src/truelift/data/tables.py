"""Tables of image files and labels: CSV, TSV, JSON lines, lists; `metadata.csv` as Hugging Face's imagefolder has."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from truelift.data.class_names import read_class_names
from truelift.data.columns import ColumnOptions, find_image, find_label, find_splits, named_image
from truelift.data.files import files_ending, is_hidden, say, walk
from truelift.data.image_files import beside, find_files, is_image, list_files, refuse_twice
from truelift.data.labels import Raw, divided, from_columns, number_labels
from truelift.data.listing import IntArray, Source
from truelift.data.path_lists import LIST_ENDING, is_list
from truelift.data.split_columns import Told, divide, find_told, words_of
from truelift.data.split_names import match_splits, split_of
from truelift.data.table_file import TABLE_ENDINGS, Table, has_header, read_header, read_table
from truelift.errors import InputError

_METADATA = "metadata"

_NO_DATA = "submission"
"""In the names of files whose rows are no images of the set."""


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table of text, or a list."""
    return path.name.lower().endswith((*TABLE_ENDINGS, LIST_ENDING))


def table_files(root: Path) -> list[Path]:
    """The tables in a folder that name images: `metadata.csv` there or in its folders, or else any with such a column.

    Those without a header count where none with a header names images. Where there is no table, the lists of image
    files there (see `path_lists`).

    Raises:
        InputError: A table cannot be read.
    """
    found = [file for file in files_ending(root, TABLE_ENDINGS, levels=1) if file.stem.lower() == _METADATA]
    if not found:
        found = [file for file in files_ending(root, TABLE_ENDINGS, levels=0) if _NO_DATA not in file.name.lower()]
    tables = [file for file in found if named_image(read_header(file)) is not None]
    tables = [file for file in tables if has_header(file)] or tables
    return tables or sorted(file for file in root.iterdir() if not is_hidden(file.name) and is_list(file))


def read_tables(path: Path, files: Sequence[Path], options: ColumnOptions) -> Source:
    """The images that tables name.

    Splits are told by the tables' names or folders (see `split_names`) and by a column (split, set, …; see
    `split_columns`), or else, where each file name begins with such a word, by that. What was understood is said on one
    line. A test set without labels is one that can be predicted alone, and so is a folder of a test set whose images no
    table names. Other images that no table names, in the folder or beside those that are named, are the source's
    `left_out`.

    Args:
        path: What the user gave: one of the tables, or the folder.
        files: The tables.
        options: Which columns hold what, and from which folder the file names begin.

    Raises:
        InputError: A table cannot be read, its columns or splits cannot be told, a label is wrong, or an image is named
            twice.
    """
    by_split = {"train": [*files]} if len(files) == 1 else match_splits(path, files)
    read = {named: [*map(read_table, tables)] for named, tables in by_split.items()}
    options = _with_label(read["train"][0], options)
    told = {named: found for named, tables in read.items() if (found := _told(tables, options)) is not None}
    rows = divide(str(path), told, by_split)
    parts: dict[str, list[_Part]] = {}
    for named, tables in read.items():
        splits = _every(rows) if named == "train" else []
        for table in tables:
            its, splits = splits[: table.rows], splits[table.rows :]
            for split, part in _parts(
                table, named if len(by_split) > 1 else None, its, options, path if path.is_dir() else None
            ).items():
                parts.setdefault(split, []).append(part)
    if "train" not in parts:
        raise InputError(f"{path}: no row is for training, there is none")
    names = {split: [name for part in found for name in part.files] for split, found in parts.items()}
    every = [name for found in names.values() for name in found]
    refuse_twice(every, _joined([part for found in parts.values() for part in found]).place)
    raw = {split: _joined(found) for split, found in parts.items()}
    numbered = number_labels(raw, read_class_names(path))
    by = told["train"].column if rows else None
    counts = {split: len(found) for split, found in names.items()}
    _say_understood(path, files[0], options, by, counts, len(numbered.classes))
    listings = {split: list_files(found, numbered.labels[split]) for split, found in names.items()}
    unlabelled = None
    unnamed = _unnamed(path, every)
    if "test" not in names:
        tested = [name for name in unnamed if _is_of_test(path, name)]
        if tested:
            known = set(tested)
            unlabelled = list_files(tested, np.full(len(tested), -1, dtype=np.int64))
            unnamed = [name for name in unnamed if name not in known]
    return numbered.source(
        listings,
        unlabelled=unlabelled,
        left_out=tuple(unnamed),
        belongs=f"named in {files[0].name}" if len(files) == 1 else "named in a table",
    )


def _with_label(table: Table, options: ColumnOptions) -> ColumnOptions:
    """The options with the label column of the first training table, where the user has named none.

    A column that is named for splits and tells none can be it, if there is no other.
    """
    if options.label_column is not None or options.label_columns is not None:
        return options
    image, splits = find_image(table.names, options.image_column, str(table.file)), find_splits(table.names, options)
    others = [name for name in table.names if name not in (image, *splits)]
    others = others or [name for name in splits if name != image and not words_of(table.columns[name]).tell]
    return replace(options, label_column=find_label(others, None, str(table.file)))


def _unnamed(path: Path, named: Sequence[str]) -> Sequence[str]:
    """The images that no table names: in the whole folder, or beside those that are named."""
    if path.is_file():
        return beside(named)
    known = set(named)
    there = (os.path.abspath(file) for file in walk(path) if is_image(file))
    return sorted(file for file in there if file not in known)


def _is_of_test(path: Path, image: str) -> bool:
    """Whether an image lies in a folder in `path` whose name tells the test set."""
    parts = Path(image).relative_to(path.absolute()).parts if path.is_dir() else ()
    return len(parts) > 1 and split_of(parts[0], path) == "test"


@dataclass(frozen=True)
class _Part:
    """The rows of one table that are of one split."""

    table: Path
    rows: Sequence[int]
    files: Sequence[str]
    values: Sequence[Any]


def _told(tables: Sequence[Table], options: ColumnOptions) -> Told | None:
    """What the columns that are named for splits say, of all rows of the tables; None where none has such."""
    columns = [{name: words_of(table.columns[name]) for name in find_splits(table.names, options)} for table in tables]
    rows = [(table.file, row + 1) for table in tables for row in range(table.rows)]
    return find_told(columns, [table.rows for table in tables], lambda index: "{} row {}".format(*rows[index]))


def _every(divided: Mapping[str, IntArray]) -> list[str]:
    """The split of each row that was divided."""
    splits = [""] * sum(map(len, divided.values()))
    for split, rows in divided.items():
        for row in rows.tolist():
            splits[row] = split
    return splits


def _parts(
    table: Table, named: str | None, told: Sequence[str], options: ColumnOptions, root: Path | None
) -> dict[str, _Part]:
    """A table's rows by split."""
    image = find_image(table.names, options.image_column, str(table.file))
    values = _labels(table, image, find_splits(table.names, options), named, options)
    files = [_text(table, image, row) for row in range(table.rows)]
    splits = told or ([named] * table.rows if named is not None else _by_folder(table, files))
    rows: dict[str, list[int]] = {}
    for row, split in enumerate(splits):
        rows.setdefault(split, []).append(row)
    folder = None if options.image_folder is None else Path(options.image_folder).expanduser()
    return {
        split: _Part(
            table.file,
            chosen,
            find_files([files[row] for row in chosen], table.file, named or split, folder, root, chosen),
            [values[row] for row in chosen],
        )
        for split, chosen in rows.items()
    }


def _labels(
    table: Table, image: str, splits: Sequence[str], named: str | None, options: ColumnOptions
) -> Sequence[Any]:
    """Each row's label as the table has it; None where a test set's table has none."""
    others = [name for name in table.names if name not in (image, *splits)]
    if options.label_columns:
        if named == "test" and not set(options.label_columns) & set(others):
            return [None] * table.rows
        place = str(table.file)
        columns = {name: table.columns[find_label(table.names, name, place)] for name in options.label_columns}
        return from_columns(columns, lambda row: f"{table.file} row {row + 1}")
    if named == "test" and options.label_column not in others:
        return [None] * table.rows
    values = table.columns[find_label(others, options.label_column, str(table.file))]
    return [divided(value, options.label_separator) for value in values]


def _text(table: Table, column: str, row: int) -> str:
    value = table.columns[column][row]
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(f'{table.file} row {row + 1}: "{column}" must be a file name, got {value!r:.50}')
    return str(value)


def _by_folder(table: Table, files: Sequence[str]) -> list[str]:
    """Each row's split, as its file's first folder tells it where all do; else all are for training."""
    firsts = [file.replace("\\", "/").lstrip("./").partition("/") for file in files]
    words = {first: split_of(first, table.file) for first, slash, _ in firsts if slash}
    if all(slash for _, slash, _ in firsts) and "train" in words.values() and None not in words.values():
        return [words[first] or "train" for first, _, _ in firsts]
    return ["train"] * table.rows


def _joined(parts: Sequence[_Part]) -> Raw:
    rows = [(part.table, row + 1) for part in parts for row in part.rows]
    values = [value for part in parts for value in part.values]
    return Raw(values, lambda index: "{} row {}".format(*rows[index]))


def _say_understood(
    path: Path, first: Path, options: ColumnOptions, split: str | None, images: Mapping[str, int], classes: int
) -> None:
    """Say on one line what the columns and the rows were taken for."""
    image = find_image(read_header(first), options.image_column, str(first))
    labels = ", ".join(options.label_columns or (options.label_column or "",))
    counts = ", ".join(f"{count} {kind}" for kind, count in images.items())
    told = "" if split is None else f', splits from "{split}"'
    say(f'{path}: file names are read from "{image}", labels from "{labels}"{told}: {classes} classes, {counts} images')
