"""`truelift list`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from truelift.cli.amounts import size
from truelift.errors import InputError, one_line, printable
from truelift.records.catalogue import Entry, entries
from truelift.report.listed import in_words, verdicts

RUNS = Path("runs")

_TITLES = ("folder", "runs", "verdict", "changed (UTC)", "size")
_FOLDED = ("folder", "verdict")
_WIDEST, _NARROWEST = 40, 20
"""Characters of a column at most, as it is counted here, and of the question at least."""


def list_runs(folder: Annotated[Path, Parameter(name="folder")] = RUNS, /, *, json: bool = False) -> int:
    """List the studies and runs below a folder, the last changed first.

    Args:
        folder: Where to look.
        json: As JSON (docs/json.md).
    """
    found = [_told(entry) for entry in entries(folder)]
    if json:
        form = {"schema": 1, "kind": "list", "folder": str(folder), "entries": found}
        print(msgspec.json.format(msgspec.json.encode(form), indent=2).decode())
        return 0
    if not found:
        print(f"no study and no run in {folder}")
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(map(printable, _cells(one))) for one in found]
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    widths = _widths(list(zip(*rows, strict=True)), console.width)
    for i, width in widths.items():
        table.add_column(
            _TITLES[i],
            no_wrap=_TITLES[i] not in _FOLDED,
            overflow="fold",
            justify="right" if _TITLES[i] == "size" else "left",
            width=width,
        )
    # The question has the room that the others leave on a line; where that is little, it is left out.
    room = console.width - sum(width + 2 for width in widths.values())
    if room >= _NARROWEST:
        table.add_column("question", no_wrap=True, overflow="ellipsis")
    for one, row in zip(found, rows, strict=True):
        cells = [Text(row[i]) for i in widths]
        if room >= _NARROWEST:
            cells.append(Text(printable(one["question"])))
            cells[-1].truncate(room, overflow="ellipsis")
        table.add_row(*cells)
    console.print(table)
    return 0


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    """Under _TITLES."""
    return (
        one["folder"],
        f"{one['done']}/{one['all']}" + (f", {one['failed']} failed" if one["failed"] else ""),
        ("running; " if one["running"] else "") + (one["note"] or in_words(one["verdicts"])),
        one["changed"][:16].replace("T", " "),
        size(one["bytes"]),
    )


def _widths(columns: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """The columns that a line has room for, by number, and their widths.

    Size and time go before a folder's name is folded, and that before a word of a verdict is cut.
    """
    longest = [max(map(len, (title, *column))) for title, column in zip(_TITLES, columns, strict=True)]
    folder, verdict = (_TITLES.index(title) for title in _FOLDED)
    least, shown, room = _least(columns[verdict]), list(range(len(_TITLES))), 0
    for title in ("size", "changed (UTC)", ""):
        room = width - sum(longest[i] + 2 for i in shown if _TITLES[i] not in _FOLDED) - 2
        if room >= min(longest[folder], _WIDEST) + least or not title:
            break
        shown.remove(_TITLES.index(title))
    found = {i: longest[i] for i in shown}
    found[folder] = max(1, min(longest[folder], room - least))
    found[verdict] = max(1, min(longest[verdict], room - found[folder]))
    return found


def _least(verdicts: Sequence[str]) -> int:
    """Characters that a column of verdicts needs, so that no word in it is cut unless it is longer than most are."""
    return min(_NARROWEST, max(len(word) for cell in (*verdicts, "verdict") for word in cell.split() or [""]))


def _told(entry: Entry) -> dict[str, Any]:
    found: dict[str, str] = {}
    note = entry.note
    if entry.study is not None:
        try:
            found = verdicts(entry.study)
        except InputError as error:
            note = one_line(error)
    plan = {} if entry.study is None else entry.study.plan
    return {
        "folder": str(entry.folder),
        "kind": entry.kind,
        "name": plan.get("name", entry.folder.name),
        "question": plan.get("question", ""),
        "done": entry.count("done"),
        "failed": entry.count("failed"),
        "all": len(entry.runs),
        "running": entry.running,
        "verdicts": found,
        "changed": entry.changed,
        "bytes": entry.bytes,
        "note": note,
    }
