"""CSV and TSV files."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from truelift.errors import InputError, one_line
from truelift.records.elsewhere.columns import Columns, checked
from truelift.records.elsewhere.replicates import refuse_summaries
from truelift.records.elsewhere.run_table import Fact
from truelift.records.files import read_bytes

MOST_BYTES = 2**30
"""Of a table."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BYTE_ORDER_MARKS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def read_delimited(path: Path, *, runs: bool = True) -> Columns:
    """A table whose first line names the columns, separated by commas, semicolons, tabs or bars.

    Blank lines are passed over, and so is a first column without a name, in which pandas writes row numbers. Cells that
    a line lacks at its end are empty, as pandas has it.

    Raises:
        InputError: It is no such table, or that first column calls a row a summary; the message names the line.
    """
    lines = _lines(path)
    place, header = next(lines, (0, []))
    if not header:
        raise InputError(f"{path} is empty.")
    if all(_is_number(name) for name in header):
        raise InputError(f"{path}: its first line must name the columns, got {', '.join(header[:6])}.")
    names = [name.strip() for name in header]
    skipped = 1 if names[0] == "" and len(names) > 1 else 0
    if "" in names[skipped:]:
        number = names.index("", skipped) + 1
        raise InputError(f"{path}: every column must have a name, got none for column {number}.")
    rows: list[list[str]] = []
    places: list[str] = []
    for place, row in lines:
        hint = _hint(row, header) if len(row) != len(names) else ""
        if len(row) > len(names) or hint:
            raise InputError(f"{path}: line {place} has {len(row)} fields, the header {len(names)}.{hint}")
        rows.append(row + [""] * (len(names) - len(row)))
        places.append(f"line {place}")
    if skipped and runs:
        refuse_summaries(str(path), zip((row[0].strip() for row in rows), places, strict=True))
    cells: dict[str, list[Fact]] = {name: [row[i] for row in rows] for i, name in enumerate(names) if i >= skipped}
    return checked(str(path), names[skipped:], cells, places)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the fields of each line that is not blank."""
    content = _decoded(path)
    first = next((line for line in content.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is no line of a table: {one_line(error)}.") from None


def _decoded(path: Path) -> str:
    content = read_bytes(path, MOST_BYTES)
    for mark, name in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            raise InputError(f"{path} must be in UTF-8, got {name}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path} must be in UTF-8, got another byte in line {line}.") from None
    if "\0" in text:
        raise InputError(f"{path} is no table of text: it has zero bytes.")
    return text


def _hint(row: list[str], header: list[str]) -> str:
    for separator, name in _SEPARATORS.items():
        if len(row) == 1 and row[0].count(separator) == len(header) - 1:
            return f" Are its fields separated by {name}?"
    if len(row) == 2 * len(header) - 1 or len(row) > len(header):
        return " A comma within a number, perhaps?"
    return ""


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
