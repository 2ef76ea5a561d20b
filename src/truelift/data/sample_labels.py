"""The labels of webdataset samples: KEY.cls, or else KEY.json or KEY.txt."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from truelift.data.columns import ColumnOptions, find_label, find_splits
from truelift.data.labels import divided, from_columns
from truelift.data.members import Member, read_plain
from truelift.data.split_columns import split_told
from truelift.errors import InputError, one_line

# A class number has no more digits, with signs and spaces around.
_LONGEST_NUMBER = 100

_LARGEST_NUMBER = 2**31 - 1

# Bytes of a label file that is no number: captions and boxes are longer, names are not.
_LARGEST_JSON = 1 << 24
_LONGEST_TEXT = 4000

ENDINGS = ("cls", "json", "txt")
"""Of the files that labels are taken from, the first that there is."""


class Sample(NamedTuple):
    """What a sample's file says."""

    label: Any
    splits: Mapping[str, Any] = MappingProxyType({})
    """json: what the keys say that are named for splits."""


def read_label(file: Path, key: str, ending: str, member: Member, options: ColumnOptions) -> Sample:
    """A sample's label, and its split if one is told, from its file of this ending.

    Args:
        file: The shard.
        key: The sample's.
        ending: One of `ENDINGS`.
        member: The file.
        options: json: which keys hold what; by default those that can be meant.

    Raises:
        InputError: It holds no label.
    """
    if ending == "cls":
        return Sample(_number(_bytes(file, member, _LONGEST_NUMBER), file, key))
    if ending == "txt":
        return Sample(divided(_text(_bytes(file, member, _LONGEST_TEXT), file, key), options.label_separator))
    return _from_json(_bytes(file, member, _LARGEST_JSON), file, key, options)


def read_splits(file: Path, key: str, member: Member, options: ColumnOptions) -> Mapping[str, Any]:
    """What KEY.json says of splits, where the label is in another file: nothing where it is no JSON object.

    Args:
        file: The shard.
        key: The sample's.
        member: KEY.json.
        options: Which keys hold something else.
    """
    try:
        found = _parsed(_bytes(file, member, _LARGEST_JSON), file, key)
    except InputError:  # it may be anything
        return {}
    return _splits(found, options) if isinstance(found, Mapping) else {}


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


def _parsed(content: bytes, file: Path, key: str) -> Any:
    try:
        if len(content) > _LARGEST_JSON:
            raise ValueError(f"more than {_LARGEST_JSON} bytes")
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: {key}.json cannot be read: {one_line(error)}") from error


def _splits(found: Mapping[str, Any], options: ColumnOptions) -> dict[str, Any]:
    return {name: found[name] for name in find_splits([*found], options)}


def _from_json(content: bytes, file: Path, key: str, options: ColumnOptions) -> Sample:
    found = _parsed(content, file, key)
    if not isinstance(found, Mapping):
        return Sample(divided(found, options.label_separator))
    where, splits = f"{file}: {key}.json", _splits(found, options)
    if options.label_columns:
        said = {name: [found[find_label([*found], name, where)]] for name in options.label_columns}
        return Sample(from_columns(said, lambda row: where)[0], splits)
    others = [name for name in found if name not in splits]
    others = others or [name for name, value in splits.items() if split_told(str(value)) is None]
    name = find_label(others, options.label_column, where)
    splits.pop(name, None)
    return Sample(divided(found[name], options.label_separator), splits)
