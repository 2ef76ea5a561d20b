"""Lines that are appended and never edited: each holds its number and the hash of the line before.

A line is an object in canonical JSON (keys sorted, no spaces, UTF-8); its hash is the SHA-256 of its bytes without the
line's end. Beside the file lies FILE.head, which says how many lines there are and the hash of the last: without it
nobody could see that the last ones were removed. It is written after the line, so after a crash it may be behind, never
ahead.

A crash can leave a last line that was cut short. It stays where it is, and the next writer ends it and appends a line
that quotes its hash (`cut short`): nothing is dropped, and a line cut by hand is still an error, because FILE.head
counts it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelift.errors import InputError, one_line
from truelift.records import read_json, write_json

MOST_BYTES = 2**26
"""Of a ledger: some hundred thousand candidates."""

START = "0" * 64
"""What the first line follows."""

CUT_SHORT = "cut short"

_BEGINNING = b'{"alpha":'
"""Of every ledger: keys are sorted."""


@dataclass(frozen=True)
class Line:
    """A whole line."""

    number: int
    """In the file, from 1."""
    content: dict[str, Any]
    """But for its number and the hash of the line before."""
    previous: str
    hash: str


@dataclass(frozen=True)
class Chain:
    """The lines of a file, checked."""

    lines: tuple[Line, ...] = ()
    physical: int = 0
    """Lines in the file, those that were cut short among them."""
    left: bytes = b""
    """A last line that was cut short and is not ended yet."""
    unended: bool = False
    """The last line is whole but for its line's end."""

    @property
    def hash(self) -> str:
        """Of the last whole line."""
        return self.lines[-1].hash if self.lines else START


def encode(content: Mapping[str, Any], number: int, previous: str) -> tuple[bytes, Line]:
    """A line's bytes, its end not among them, and the line."""
    raw = _canonical({**content, "line": number, "previous": previous})
    return raw, Line(number, dict(content), previous, _hash(raw))


def following(chain: Chain, content: Mapping[str, Any]) -> tuple[bytes, Chain]:
    """The bytes to append so that `content` is the next line, and the chain with it; what was cut short ends first."""
    start, number, previous = b"", chain.physical + 1, chain.hash
    added: tuple[Line, ...] = ()
    if chain.left:
        told, line = encode({"kind": CUT_SHORT, "sha256": _hash(chain.left)}, number + 1, previous)
        start, number, previous, added = b"\n" + told + b"\n", number + 2, line.hash, (line,)
    elif chain.unended:
        start = b"\n"
    raw, line = encode(content, number, previous)
    return start + raw + b"\n", Chain((*chain.lines, *added, line), number)


def parse(path: Path, content: bytes, head: tuple[int, str] | None) -> Chain:
    """The lines of a file.

    Args:
        path: For messages.
        content: Of the file.
        head: How many lines FILE.head counts and the hash of the last; None where there is none.

    Raises:
        InputError: A line was changed, removed, moved or cut; the message names it.
    """
    *rows, rest = content.split(b"\n")
    lines: list[Line] = []
    for i, raw in enumerate(rows):
        if i + 1 < len(rows) and _says_cut_short(rows[i + 1], raw):
            continue
        lines.append(_line(path, lines, i + 1, raw))
    physical, left, unended = len(rows), b"", False
    if rest:
        try:
            lines.append(_line(path, lines, physical + 1, rest))
            physical, unended = physical + 1, True
        except InputError:
            if head is not None and head[0] > physical:
                raise InputError(f"{path}, line {physical + 1} is cut short or changed.") from None
            begun = bool(lines) or rest[: len(_BEGINNING)] == _BEGINNING[: len(rest)]
            if not begun or _decode(rest) is not None:  # no ledger; or a whole line, but not the next one
                raise
            left = rest
    return _held_against(path, Chain(tuple(lines), physical, left, unended), head)


def head_of(path: Path) -> Path:
    """The file beside a ledger that holds its end."""
    return Path(f"{path}.head")


def read_head(path: Path) -> tuple[int, str] | None:
    """What FILE.head says; None where there is none.

    Raises:
        InputError: It is damaged.
    """
    file = head_of(path)
    if not file.exists():
        return None
    found = read_json(file)
    lines, hashed = (found.get("lines"), found.get("hash")) if isinstance(found, dict) else (None, None)
    if not isinstance(lines, int) or isinstance(lines, bool) or not isinstance(hashed, str) or lines < 1:
        raise InputError(f"{file} is damaged: it must hold the number of lines and a hash, got {found}.")
    return lines, hashed


def write_head(path: Path, line: Line) -> None:
    """Let FILE.head say that `line` is the last."""
    write_json(head_of(path), {"lines": line.number, "hash": line.hash})


def _line(path: Path, before: Sequence[Line], number: int, raw: bytes) -> Line:
    """A line of the file, which follows those before it.

    Raises:
        InputError: It is damaged, or does not follow them.
    """
    found = _decode(raw)
    if found is None:
        raise InputError(f"{path}, line {number} is no line of a ledger: it was changed or cut short.")
    told = found.pop("line", None), found.pop("previous", None)
    previous = before[-1].hash if before else START
    if told[0] != number:
        raise InputError(f"{path}, line {number} is numbered {told[0]}: a line was removed, added or moved here.")
    if told[1] != previous:
        changed = f"line {before[-1].number} was changed" if before else f"line {number} was changed"
        raise InputError(f"{path}, {changed}: its hash is not the one that line {number} holds.")
    wrong = f"{path}, line {number} was changed: it is not written as a ledger writes."
    try:
        again, line = encode(found, number, previous)
    except InputError:  # a number too large for a float
        raise InputError(wrong) from None
    if again != raw:
        raise InputError(wrong)
    return line


def _says_cut_short(row: bytes, raw: bytes) -> bool:
    """Whether a row quotes the one before it, `raw`, as cut short."""
    told = _decode(row) if CUT_SHORT.encode() in row else None
    return told is not None and told.get("kind") == CUT_SHORT and told.get("sha256") == _hash(raw)


def _held_against(path: Path, chain: Chain, head: tuple[int, str] | None) -> Chain:
    if head is None:
        return chain
    count, hashed = head
    if count > chain.physical:
        gone = f"line {count} is" if count == chain.physical + 1 else f"lines {chain.physical + 1} to {count} are"
        raise InputError(f"{path}: {gone} missing, which {head_of(path).name} counts.")
    line = next((line for line in reversed(chain.lines) if line.number == count), None)
    if line is None or line.hash != hashed:
        raise InputError(f"{path}, line {count} was changed: {head_of(path).name} has another hash of it.")
    return chain


def _canonical(content: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"a ledger holds what JSON has: {one_line(error)}.") from None


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _decode(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
