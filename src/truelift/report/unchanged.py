"""Whether a page shows a summary already: to draw its pictures takes longer than all the rest."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from truelift.errors import InputError
from truelift.records.files import read_bytes
from truelift.report.judged import Found
from truelift.report.summary import Summary

_LAST_LINE = re.compile(r"<!-- ([0-9a-f]{64}) ([0-9a-f]{64}) -->\n\Z")
_AS_THEY_ARE = frozenset((str, int, float, bool, type(None)))
_MOST_BYTES = 2**28
"""Of a page that is looked at; a larger one is made again."""


def marked(page: str, made_of: str) -> str:
    """The page with a last line that tells what it was made of, and what it says.

    Args:
        page: Of a summary.
        made_of: The summary's digest.
    """
    return f"{page}<!-- {made_of} {_digest(page)} -->\n"


def is_made_of(file: Path, made_of: str) -> bool:
    """Whether a file is the page that this truelift makes of a summary, every letter of it.

    Args:
        file: Perhaps not there, or anything else.
        made_of: The digest of the summary that it should show.
    """
    try:
        text = read_bytes(file, _MOST_BYTES).decode()
    except (InputError, UnicodeDecodeError):
        return False
    found = _LAST_LINE.search(text)
    return found is not None and found[1] == made_of and found[2] == _digest(text[: found.start()])


def digest_of(summary: Summary) -> str:
    """A digest of all that a page depends on: the summary, and what makes pages of it."""
    room = Path(__file__).parent
    makers = sorted(
        file for place in (room, room / "templates", room.parent / "verdicts") for file in place.glob("*.*")
    )
    made_by = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in makers if file.is_file()]
    return _digest(repr((made_by, _plain(replace(summary, folder=Path())))))  # wherever it lies


def _plain(value: Any) -> Any:
    """What a value is made of, in an order that is the same in every process."""
    if type(value) in _AS_THEY_ARE:  # most by far
        return value
    if isinstance(value, Found):  # its rows are what is shown; it knows where its runs lie
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [_plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Mapping):
        return [(_plain(key), _plain(of_key)) for key, of_key in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(_plain(each)) for each in value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
