"""Lines for a person at a terminal."""

import sys
from pathlib import Path

from truelift.records import Study


def warn(message: str) -> None:
    """Print a warning."""
    print(f"truelift: warning: {message}", file=sys.stderr)


def show(records: Study) -> None:
    """Write a study's report and print its table."""
    from rich.console import Console

    from truelift.report import print_summary, summarise, write_forms

    summary = summarise(records)
    pages: list[Path] = write_forms(summary)
    print_summary(summary, Console())
    print(f"report: {pages[0]}")
