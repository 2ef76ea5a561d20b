"""The labels of webdataset samples: KEY.cls, or else KEY.json or KEY.txt."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truelift.data.columns import find_label
from truelift.data.members import Member, read_plain
from truelift.errors import InputError, one_line

# A class number has no more digits, with signs and spaces around.
_LONGEST_NUMBER = 100

_LARGEST_NUMBER = 2**31 - 1

# Bytes of a label file that is no number: captions and boxes are longer, names are not.
_LARGEST_JSON = 1 << 24
_LONGEST_TEXT = 4000

ENDINGS = ("cls", "json", "txt")
"""Of the files that labels are taken from, the first that there is."""


def read_label(file: Path, key: str, ending: str, member: Member, column: str | None) -> Any:
    """A sample's label from its file of this ending.

    Args:
        file: The shard.
        key: The sample's.
        ending: One of `ENDINGS`.
        member: The file.
        column: json: the key of the label; by default the one that can be meant.

    Raises:
        InputError: It holds no label.
    """
    if ending == "cls":
        return _number(_bytes(file, member, _LONGEST_NUMBER), file, key)
    if ending == "txt":
        return _text(_bytes(file, member, _LONGEST_TEXT), file, key)
    return _from_json(_bytes(file, member, _LARGEST_JSON), file, key, column)


def _bytes(file: Path, member: Member, most: int) -> bytes:
    """The beginning of a member, one byte more than allowed."""
    return read_plain(str(file), member._replace(size=min(member.size, most + 1)))


def _number(text: bytes, file: Path, key: str) -> int:
    try:
        if len(text) > _LONGEST_NUMBER or b"_" in text:
            raise ValueError
        number = int(text)
    except ValueError:
        raise InputError(f"{file}: {key}.cls must be a class number, got {text[:20]!r}") from None
    if abs(number) > _LARGEST_NUMBER:
        raise InputError(f"{file}: {key}.cls must be a class number of at most {_LARGEST_NUMBER}, got {number}")
    return number


def _text(content: bytes, file: Path, key: str) -> str:
    try:
        if len(content) > _LONGEST_TEXT:
            raise ValueError
        text = content.decode("utf-8-sig").strip()
        if not text or "\n" in text:
            raise ValueError
    except ValueError:
        raise InputError(f"{file}: {key}.txt must be one line, a class's name, got {content[:20]!r}") from None
    return text


def _from_json(content: bytes, file: Path, key: str, column: str | None) -> Any:
    try:
        if len(content) > _LARGEST_JSON:
            raise ValueError(f"more than {_LARGEST_JSON} bytes")
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: {key}.json cannot be read: {one_line(error)}") from error
    if isinstance(found, Mapping):
        return found[find_label([*found], column, f"{file}: {key}.json")]
    return found
