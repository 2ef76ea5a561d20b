"""A table in a text file: CSV, TSV, JSON lines, a list. Rows are counted from 1, without the header, within limits."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

from truelift.data.files import require_regular
from truelift.data.path_lists import LIST_ENDING, LONGEST_LINE, MOST_COLUMNS, ListForm, list_form
from truelift.errors import InputError, one_line

T = TypeVar("T")

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")

LARGEST_TABLE = 1 << 31
"""Bytes of a table's file."""

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
    """A whole table; one whose first field is an image's file name has no header, and its columns are `ListForm`'s.

    Raises:
        InputError: It cannot be read, is not UTF-8, is too large, a row has more or fewer fields than the header (or
            the first row, where there is none), or the first line of a .txt does not begin with an image's file name.
    """
    return _opened(file, partial(_lines_of_json if _is_json(file) else _delimited, file))


def read_header(file: Path) -> list[str]:
    """The names of a table's columns; of JSON lines those of the first line.

    Raises:
        InputError: As `read_table`.
    """
    return _opened(file, lambda text: [*_first_object(file, text)] if _is_json(file) else _header(file, text).names)


def has_header(file: Path) -> bool:
    """Whether a table begins with the names of its columns; else its first line is a row (see `list_form`).

    Raises:
        InputError: As `read_table`.
    """
    return _is_json(file) or _opened(file, lambda text: list_form(text.readline(LONGEST_LINE)) is None)


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


class _Header(NamedTuple):
    """The columns' names, who says how many there are, and what divides the rows that follow into fields."""

    names: list[str]
    told_by: str
    divide: Callable[[Iterable[str]], Iterable[list[str]]]


def _header(file: Path, text: TextIO) -> _Header:
    """The header, which has been read then; or of a list, whose first line is a row, what stands for it.

    They are divided by the most frequent of comma, semicolon and tab in the first line, or as `list_form` says.
    """
    line = text.readline(LONGEST_LINE)
    listed = list_form(line)
    if listed is not None:
        if len(listed.names) > MOST_COLUMNS:
            raise InputError(f"{file} row 1: a list must have {MOST_COLUMNS} columns at most, got more")
        text.seek(0)  # it is a row
        return _Header([*listed.names], "the first row", partial(_list_rows, listed))
    if file.name.lower().endswith(LIST_ENDING):
        raise InputError(f"{file} row 1: a list must have an image's file name and its label a line, got {line!r:.50}")
    if not line.strip():
        raise InputError(f"{file}: a table must begin with the names of its columns, got an empty line")
    delimiter = max(_DELIMITERS, key=line.count)
    names = [name.strip() for name in next(csv.reader(io.StringIO(line), delimiter=delimiter))]
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{file}: a table must have {MOST_COLUMNS} columns at most, got {len(names)}")
    # An index that pandas has written has no name.
    names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f'{file}: columns must have different names, got "{twice}" twice')
    return _Header(names, "the header", partial(csv.reader, delimiter=delimiter))


def _list_rows(form: ListForm, lines: Iterable[str]) -> Iterable[list[str]]:
    return form.divide(lines) if form.delimiter is None else csv.reader(lines, delimiter=form.delimiter)


def _lines(text: TextIO) -> Iterator[str]:
    """The lines that follow.

    Raises:
        ValueError: One is too long.
    """
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            raise ValueError(f"a line must have less than {LONGEST_LINE} characters")
        yield line


def _delimited(file: Path, text: TextIO) -> Table:
    names, told_by, divide = _header(file, text)
    columns: list[list[str]] = [[] for _ in names]
    for row, fields in enumerate(filter(None, divide(_lines(text))), start=1):
        if len(fields) != len(names):
            raise InputError(f"{file} row {row}: a row must have {len(names)} fields as {told_by}, got {len(fields)}")
        for column, value in zip(columns, fields, strict=True):
            column.append(value)
    return Table(file, dict(zip(names, columns, strict=True)))


def _objects(file: Path, text: TextIO) -> Iterator[dict[str, Any]]:
    row = 0
    for row, line in enumerate(filter(str.strip, _lines(text)), start=1):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InputError(f"{file} row {row}: must be a JSON object, got {line.strip()[:20]!r}") from error
        if not isinstance(found, dict):
            raise InputError(f"{file} row {row}: must be a JSON object, got {type(found).__name__}")
        yield found
    if not row:
        raise InputError(f"{file}: a table must have a row, got none")


def _first_object(file: Path, text: TextIO) -> dict[str, Any]:
    return next(_objects(file, text))


def _lines_of_json(file: Path, text: TextIO) -> Table:
    rows = [*_objects(file, text)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{file}: a table must have {MOST_COLUMNS} columns at most, got {len(names)}")
    return Table(file, {name: [row.get(name) for row in rows] for name in names})
