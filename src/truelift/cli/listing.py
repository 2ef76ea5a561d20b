"""`truelift list`."""

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

    rows = [
        (
            one["folder"],
            f"{one['done']}/{one['all']}" + (f", {one['failed']} failed" if one["failed"] else ""),
            ("running; " if one["running"] else "") + (one["note"] or in_words(one["verdicts"])),
            one["changed"][:16].replace("T", " "),
            size(one["bytes"]),
        )
        for one in found
    ]
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in _TITLES:
        table.add_column(title, no_wrap=title != "verdict", justify="right" if title == "size" else "left")
    # The question has the room that the others leave on a line; where that is little, it is left out.
    room = console.width - sum(min(max(map(len, column)), _WIDEST) + 2 for column in zip(*rows, strict=True))
    if room >= _NARROWEST:
        table.add_column("question", no_wrap=True, overflow="ellipsis")
    for row, one in zip(rows, found, strict=True):
        question = [Text(printable(one["question"]))] if room >= _NARROWEST else []
        for text in question:
            text.truncate(room, overflow="ellipsis")
        table.add_row(*(Text(printable(cell)) for cell in row), *question)
    console.print(table)
    return 0


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
