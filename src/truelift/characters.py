"""What is printed where the output's encoding lacks a character: a likeness of it, or its escape, and no traceback."""

import codecs
import sys

_HANDLER = "truelift.likeness"

_LIKE = {"±": "+-", "–": "-", "—": "-", "−": "-", "─": "-", "×": "x", "·": ".", "…": "...", "≤": "<=", "≥": ">="}


def printable_everywhere() -> None:
    """Have the standard streams print every text, whatever their encoding; one that has its own way keeps it."""
    codecs.register_error(_HANDLER, _likeness)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def _likeness(error: UnicodeError) -> tuple[str, int]:
    """Of marks and signs a likeness; of all else the escape that JSON has too, so that no name becomes another."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_LIKE.get(c) or _escape(c) for c in lacking), error.end


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
