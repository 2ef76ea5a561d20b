"""The names of classes by their numbers, from the forms in which people write them down."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from truelift.data.files import require_regular, say
from truelift.data.listing import MOST_UNNAMED_CLASSES
from truelift.errors import InputError, one_line

# More than any list of class names takes.
_LARGEST_FILE = 100_000_000

_NUMBERED = re.compile(r"(\d+)[\s,;:]+(\S.*)")


def names_of(named: Any) -> tuple[str, ...]:
    """The class names of a table as JSON has it, by class number.

        ["cat", "dog"]              in order
        {"0": "cat", "1": "dog"}    the keys are the numbers, whatever their order
        {"cat": 0, "dog": 1}        the values are
        {"n01": "cat", ...}         neither: in the order of the file

    A number that is left out is named by itself.

    Raises:
        ValueError: It is none of these, or a number comes twice or is too large.
    """
    if isinstance(named, Mapping):
        keys, values = [_number(key) for key in named], [_number(value) for value in named.values()]
        by_key, by_value = (bool(named) and None not in numbers for numbers in (keys, values))
        if by_key and by_value:
            raise ValueError("both sides of the table are numbers: which are the classes' names?")
        if by_key:
            return _by_number(keys, [_text(value) for value in named.values()])
        if by_value:
            return _by_number(values, list(named))
        first = ", ".join(list(named)[:3])
        say(f"class names are taken in the order of their table, whose keys are no numbers: {first}")
        return tuple(_text(value) for value in named.values())
    if isinstance(named, Sequence) and not isinstance(named, str):
        return tuple(map(_text, named))
    raise ValueError(f"a list or a table of names is wanted, got {type(named).__name__}")


def read_class_names(place: Path) -> tuple[str, ...] | None:
    """The names in `classes.txt` or else `classes.json` in a folder, or beside a file; None where there is neither.

    classes.txt has a name a line; where every line begins with another number and these are 0, 1, 2 and so on in
    whatever order, each is the class's. classes.json: see `names_of`.

    Raises:
        InputError: It cannot be read, or is none of these forms.
    """
    folder = place if place.is_dir() else place.parent
    text, table = folder / "classes.txt", folder / "classes.json"
    try:
        if text.exists():
            return _lines(_read(text))
        if table.exists():
            return names_of(json.loads(_read(table)))
    except InputError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"cannot read the class names beside {folder}: {one_line(error)}") from error
    return None


def _read(file: Path) -> str:
    require_regular(file)
    if (size := file.stat().st_size) > _LARGEST_FILE:
        raise ValueError(f"{file.name} has {size} bytes")
    return file.read_text(encoding="utf-8-sig")


def _lines(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        raise ValueError(f"line {lines.index('') + 1} of classes.txt is empty")
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(matches):
        numbers = [int(match[1]) for match in matches if match]
        if sorted(numbers) == list(range(len(lines))):
            return _by_number(numbers, [match[2] for match in matches if match])
    return tuple(lines)


def _number(value: Any) -> int | None:
    """A class number, as a number or as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"a name must be text, got {type(value).__name__}")
    if not str(value).strip():
        raise ValueError("a name must be text, got an empty one")
    return str(value)


def _by_number(numbers: Sequence[int | None], names: Sequence[str]) -> tuple[str, ...]:
    found: dict[int, str] = {}
    for number, name in zip(numbers, names, strict=True):
        assert number is not None
        if not 0 <= number < MOST_UNNAMED_CLASSES:
            raise ValueError(f"a class number must be in 0..{MOST_UNNAMED_CLASSES - 1}, got {number}")
        if number in found:
            raise ValueError(f'class number {number} has two names, "{found[number]}" and "{name}"')
        found[number] = name
    return tuple(found.get(number, str(number)) for number in range(max(found) + 1))
