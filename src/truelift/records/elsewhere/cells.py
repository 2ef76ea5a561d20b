"""Cells of other people's tables: a number, a missing one, or an error that says what stands there."""

import math
import re

from truelift.errors import InputError
from truelift.records.elsewhere.run_table import Fact

MISSING = frozenset({"", "na", "n/a", "null", "none", "-", "–"})
"""Texts of a cell without a number."""

_INTEGER = re.compile(r"[+-]?\d{1,18}(\.0+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,' _]\d{3})+(\.\d+)?")


def text(value: Fact) -> str:
    """A cell as a name: 1.0 and "1" are the same, a missing one is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def number(value: Fact, column: str, place: str) -> float | None:
    """The number in a cell; None where it has none, NaN where it says so.

    Raises:
        InputError: It is no number; the message names the column and the place.
    """
    told = f"{place}, {column}"
    if isinstance(value, bool):
        raise InputError(f"{told} must be a number, got {value}.")
    if value is None:
        return None
    if isinstance(value, str):
        return _of_text(value.strip(), told)
    return _finite(float(value), told, value)


def _of_text(written: str, told: str) -> float | None:
    if written.lower() in MISSING:
        return None
    if _THOUSANDS.fullmatch(written) and not re.fullmatch(r"[+-]?0,\d{3}", written):
        raise InputError(f"{told} must be a number without separators of thousands, got {_shown(written)}.")
    if _DECIMAL_COMMA.fullmatch(written):
        raise InputError(f"{told} must be a number with a decimal point, not a comma, got {_shown(written)}.")
    if written.endswith("%"):
        raise InputError(f"{told} must be a number without a percent sign, got {_shown(written)}.")
    try:
        if "_" in written:  # which Python takes for a separator
            raise ValueError
        found = float(written)
    except ValueError:
        raise InputError(f"{told} must be a number, got {_shown(written)}.") from None
    return _finite(found, told, written)


def _finite(found: float, told: str, value: object) -> float:
    if math.isinf(found):
        raise InputError(f"{told} must be finite, got {value}.")
    return found


def is_numbers(values: list[Fact]) -> bool:
    """Whether a column's cells are all numbers or missing, and one at least is there."""
    try:
        found = [number(value, "", "") for value in values]
    except InputError:
        return False
    return any(value is not None for value in found)


def seed_of(value: Fact, column: str, place: str) -> int | str:
    """A seed: a whole number, or else its text.

    Raises:
        InputError: The cell is empty, true, false, or a fraction.
    """
    written = text(value)
    if isinstance(value, bool) or written.lower() in MISSING | {"nan", "true", "false"}:
        raise InputError(f"{place}, {column} must be a seed, got {_shown(written)}.")
    if _INTEGER.fullmatch(written):
        return int(float(written)) if "." in written else int(written)
    if re.fullmatch(r"[+-]?\d*\.\d+([eE][+-]?\d+)?", written):
        raise InputError(f"{place}, {column} must be a whole number, got {_shown(written)}.")
    return written


def _shown(written: str) -> str:
    """A cell's text, not at length."""
    return f'"{written}"' if len(written) <= 60 else f'"{written[:60]} …"'
