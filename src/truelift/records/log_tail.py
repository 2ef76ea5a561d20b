"""The end of a run's log.txt, made harmless: a program may have printed anything, and any amount of it."""

import re
from pathlib import Path

from truelift.errors import InputError, printable
from truelift.records.files import end_of

ANOTHER_TRY = "truelift: another try begins here"
"""The line in log.txt before what a run prints that was tried before."""

_MOST_BYTES = 2**15
_LONGEST_LINE = 400
# Colours and movements of a terminal: they would only stand in the way of the words.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def log_tail(folder: Path, lines: int = 20) -> tuple[str, ...]:
    """The last lines of a run's log.txt in its last try, without blank ones at the end; none where it cannot be read.

    Of a line that was drawn anew, as a progress bar's is, the last state counts. What is not visible is written as
    escapes (`errors.printable`), and a long line is cut.

    Args:
        folder: The run's.
        lines: At most so many, from 1 on; no more than 32 KiB of the file are read.
    """
    try:
        end = end_of(folder / "log.txt", _MOST_BYTES)
    except InputError:
        return ()
    texts = _TERMINAL.sub("", end.content.decode(errors="replace")).split("\n")
    if end.is_cut:
        texts = texts[1:] or texts
    shown = [_line(text) for text in texts]
    if ANOTHER_TRY in shown:
        shown = shown[len(shown) - shown[::-1].index(ANOTHER_TRY) :]
    while shown and not shown[-1]:
        shown.pop()
    return tuple(shown[-lines:])


def _line(text: str) -> str:
    last_state = text.rstrip("\r").rpartition("\r")[2]
    told = printable(last_state.expandtabs(4).rstrip())
    return told if len(told) <= _LONGEST_LINE else f"{told[:_LONGEST_LINE]}…"
