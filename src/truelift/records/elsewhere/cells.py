"""Cells of other people's tables: a number, a missing one, or an error that says what stands there."""

import math
import re

from truelift.errors import InputError
from truelift.metrics import LARGEST
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
    if isinstance(value, str):
        found = _of_text(value)
        if found is None and value.strip().lower() not in MISSING:
            raise _no_number(value.strip(), f"{place}, {column}")
    elif isinstance(value, bool):
        raise InputError(f"{place}, {column} must be a number, got {value}.")
    else:
        found = None if value is None else _of_number(value)
    if found is not None and abs(found) > LARGEST:
        raise InputError(f"{place}, {column} must be finite and below {LARGEST:g}, got {_shown(str(value))}.")
    return found


def _of_text(written: str) -> float | None:
    """The number that a text is; None where it is none, or Python alone takes it for one ("9_0")."""
    try:
        return None if "_" in written else float(written)
    except ValueError:
        return None


def _of_number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def finite_or_nan(value: float) -> float:
    """A value that a tracker holds; NaN, for a training that diverged, in place of infinity."""
    found = _of_number(value)
    return found if abs(found) <= LARGEST else math.nan


def _no_number(written: str, told: str) -> InputError:
    """Why a text is no number."""
    if _THOUSANDS.fullmatch(written) and not re.fullmatch(r"[+-]?0,\d{3}", written):
        rule = "a number without separators of thousands"
    elif _DECIMAL_COMMA.fullmatch(written):
        rule = "a number with a decimal point, not a comma"
    else:
        rule = "a number without a percent sign" if written.endswith("%") else "a number"
    return InputError(f"{told} must be {rule}, got {_shown(written)}.")


def finite(written: str) -> float | None:
    """The usual number that a text is, if it is one: what most cells are, found out first and fast."""
    found = _of_text(written)
    return found if found is not None and abs(found) <= LARGEST else None


def is_numbers(values: list[Fact]) -> bool:
    """Whether a column's cells are all numbers or missing, and one at least is there."""
    there = False
    for value in values:
        if isinstance(value, str):
            found = _of_text(value)
            if found is None and value.strip().lower() in MISSING:
                continue
        else:
            if value is None:
                continue
            found = None if isinstance(value, bool) else _of_number(value)
        if found is None or abs(found) > LARGEST:
            return False
        there = True
    return there


def is_words(values: list[Fact]) -> bool:
    """Whether no cell of a text file's column is a number."""
    return all(_of_text(str(value)) is None for value in values)


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
