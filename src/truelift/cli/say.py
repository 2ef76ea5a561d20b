"""Lines for a person at a terminal, JSON and an exit status for a program."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

from truelift.report import Summary, print_summary, write_forms
from truelift.verdicts import Requirement, met

_STATUS = {"holds": 0, "fails": 3, "undecided": 4}
"""Of a command that requires something."""

ONE_AT_A_TIME = threading.RLock()
"""Held by whoever prints while another thread may redraw the terminal: rich would draw over a line in between."""


def warn(message: str) -> None:
    """Print a warning."""
    with ONE_AT_A_TIME:
        print(f"truelift: warning: {message}", file=sys.stderr)


def show(summary: Summary, folder: Path, *, json: bool, require: Requirement | None) -> int:
    """Write a report and print its table, or its JSON.

    Args:
        summary: The report.
        folder: Where its files go.
        json: Print JSON in place of the table.
        require: What the exit status tells.

    Returns:
        The exit status: 0 without a requirement, or where it holds; 3 where it fails; 4 where it is undecided, or
        runs are to come.
    """
    pages = write_forms(replace(summary, folder=folder))
    if json:
        from truelift.report.json_form import report_form, to_json

        print(to_json(report_form(summary, pages)))
    else:
        from rich.console import Console

        print_summary(summary, Console())
        print(f"report: {pages[0]}")
    if require is None:
        return 0
    if not summary.complete:
        return _STATUS["undecided"]
    return _STATUS[met(require, (found.verdict for found in summary.comparisons.values()))]
