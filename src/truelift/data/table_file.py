"""A table in a text file: CSV, TSV or JSON lines, within limits. Rows are counted from 1, without the header."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

from truelift.data.files import require_regular
from truelift.errors import InputError, one_line

T = TypeVar("T")

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")

LARGEST_TABLE = 1 << 31
"""Bytes of a table's file."""

_LONGEST_LINE = 1 << 24

_MOST_COLUMNS = 20_000

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Table:
    """A table's columns, all of one length."""

    file: Path
    columns: Mapping[str, Sequence[Any]]
    """Text, as CSV has it; of JSON lines numbers, lists and so on too, None where a line lacks the key."""

    @property
    def names(self) -> list[str]:
        """The columns' names, in their order."""
        return [*self.columns]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.columns.values()), ()))


def read_table(file: Path) -> Table:
    """A whole table.

    Raises:
        InputError: It cannot be read, is not UTF-8, is too large, or a row has more or fewer fields than the header.
    """
    return _opened(file, partial(_lines_of_json if _is_json(file) else _delimited, file))


def read_header(file: Path) -> list[str]:
    """The names of a table's columns; of JSON lines those of the first line.

    Raises:
        InputError: As `read_table`.
    """
    return _opened(file, lambda text: [*_first_object(file, text)] if _is_json(file) else _header(file, text)[0])


def _is_json(file: Path) -> bool:
    return file.suffix.lower() == ".jsonl"


def _opened(file: Path, read: Callable[[TextIO], T]) -> T:
    require_regular(file)
    try:
        if (size := file.stat().st_size) > LARGEST_TABLE:
            raise ValueError(f"it has {size} bytes")
        with file.open(encoding="utf-8-sig", newline="") as text:
            return read(text)
    except InputError:
        raise
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"cannot read {file} as a table: {one_line(error)}") from error


def _header(file: Path, text: TextIO) -> tuple[list[str], str]:
    """The columns' names, and what divides the fields: of comma, semicolon and tab the most frequent there."""
    line = text.readline(_LONGEST_LINE)
    if not line.strip():
        raise InputError(f"{file}: a table must begin with the names of its columns, got an empty line")
    delimiter = max(_DELIMITERS, key=line.count)
    names = [name.strip() for name in next(csv.reader(io.StringIO(line), delimiter=delimiter))]
    if len(names) > _MOST_COLUMNS:
        raise InputError(f"{file}: a table must have {_MOST_COLUMNS} columns at most, got {len(names)}")
    # An index that pandas has written has no name.
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f'{file}: columns must have different names, got "{twice}" twice')
    return names, delimiter


def _delimited(file: Path, text: TextIO) -> Table:
    names, delimiter = _header(file, text)
    columns: list[list[str]] = [[] for _ in names]
    row = 0
    for fields in csv.reader(text, delimiter=delimiter):
        if not fields:
            continue
        row += 1
        if len(fields) != len(names):
            raise InputError(f"{file} row {row}: a row must have {len(names)} fields as the header, got {len(fields)}")
        for column, value in zip(columns, fields, strict=True):
            column.append(value)
    return Table(file, dict(zip(names, columns, strict=True)))


def _objects(file: Path, text: TextIO) -> Iterator[dict[str, Any]]:
    row = 0
    while line := text.readline(_LONGEST_LINE):
        if not line.strip():
            continue
        row += 1
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InputError(f"{file} row {row}: must be a JSON object, got {line.strip()[:20]!r}") from error
        if not isinstance(found, dict):
            raise InputError(f"{file} row {row}: must be a JSON object, got {type(found).__name__}")
        yield found


def _first_object(file: Path, text: TextIO) -> dict[str, Any]:
    found = next(_objects(file, text), None)
    if found is None:
        raise InputError(f"{file}: a table must have a row, got none")
    return found


def _lines_of_json(file: Path, text: TextIO) -> Table:
    rows = [*_objects(file, text)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > _MOST_COLUMNS:
        raise InputError(f"{file}: a table must have {_MOST_COLUMNS} columns at most, got {len(names)}")
    return Table(file, {name: [row.get(name) for row in rows] for name in names})
