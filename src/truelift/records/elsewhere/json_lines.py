"""JSON lines, and JSON arrays of objects."""

import json
from pathlib import Path
from typing import Any

from truelift.errors import InputError, one_line
from truelift.records.elsewhere.columns import Columns, checked
from truelift.records.elsewhere.delimited import MOST_BYTES
from truelift.records.elsewhere.run_table import Fact
from truelift.records.files import read_bytes


def read_json_lines(path: Path) -> Columns:
    """One JSON object a line, or one array of objects in a .json file; nested objects become "config.lr".

    Raises:
        InputError: It is none of these; the message names the line.
    """
    try:
        content = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} must be in UTF-8.") from None
    if path.suffix.lower() == ".json":
        found = _decoded(path, content, "")
        if not isinstance(found, list):
            raise InputError(f"{path} must be an array of objects, got {_kind(found)}.")
        entries = [(f"entry {i}", entry) for i, entry in enumerate(found, start=1)]
    else:
        lines = [(i, line) for i, line in enumerate(content.split("\n"), start=1) if line.strip()]
        entries = [(f"line {i}", _decoded(path, line, f", line {i}")) for i, line in lines]
    if not entries:
        raise InputError(f"{path} is empty.")
    return of_objects(str(path), entries)


def of_objects(source: str, entries: list[tuple[str, Any]]) -> Columns:
    """The table of JSON objects, each with its place; a key that one lacks is missing there.

    Raises:
        InputError: One is no object.
    """
    rows = []
    for place, entry in entries:
        if not isinstance(entry, dict):
            raise InputError(f"{source}, {place} must be an object, got {_kind(entry)}.")
        rows.append(flat(entry))
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells: dict[str, list[Fact]] = {name: [row.get(name) for row in rows] for name in names}
    return checked(source, names, cells, [place for place, _ in entries])


def flat(entry: dict[str, Any], prefix: str = "") -> dict[str, Fact]:
    """An object's values by dotted name; lists as JSON."""
    found: dict[str, Fact] = {}
    for key, value in entry.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= flat(value, f"{name}.")
        else:
            found[name] = value if isinstance(value, Fact) else json.dumps(value, default=str)
    return found


def _decoded(path: Path, content: str, place: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f'{path}{place} has "{name}" twice.')
        return dict(pairs)

    try:
        return json.loads(content, object_pairs_hook=once)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}{place} is not JSON: {one_line(error)}.") from None


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
