"""`truelift watch`."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.progress import progress_line, progress_table
from truelift.cli.status import failures, last_study, seen
from truelift.errors import InputError, real
from truelift.records import Study
from truelift.records.progress import StudyProgress


def watch(
    folder: Annotated[Path | None, Parameter(name="folder")] = None, /, *, seconds: float = 5.0, table: bool = True
) -> int:
    """Show how far a study is, again and again until all its runs have ended. Ctrl-C ends the look, not the study.

    Args:
        folder: The study's folder. Default: the study in runs/ that was changed last.
        seconds: Between two looks; at least 0.1.
        table: Also the table of the runs that have ended so far.
    """
    real("seconds", seconds, lambda value: 0.1 <= value <= 86400, "from 0.1 to 86,400")
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    console, place = Console(), folder or last_study()

    def shown() -> tuple[RenderableType, bool]:
        study, now = Study.read(place), time.time()
        found = seen(study, now)
        parts: list[RenderableType] = [Text(f"{study.plan['name']}: {progress_line(found)}", style="bold")]
        if found.count("running"):
            parts.append(progress_table(found, now))
        parts += map(Text, failures(found.of("failed")))
        if table:
            parts.append(Text.from_ansi(_table(study, found, console.width)))
        return Group(*parts), not _goes_on(found)

    content, ended = shown()
    if not console.is_terminal:
        while True:
            console.print(content)
            if ended:
                return 0
            time.sleep(seconds)
            content, ended = shown()
    with Live(content, console=console, auto_refresh=False) as live:
        while not ended:
            time.sleep(seconds)
            content, ended = shown()
            live.update(content, refresh=True)
    return 0


def _goes_on(found: StudyProgress) -> bool:
    return bool(found.count("running") or found.count("waiting"))


def _table(study: Study, found: StudyProgress, width: int) -> str:
    """The table so far."""
    from rich.console import Console

    from truelift.report import print_summary, summarise

    if not found.count("done"):
        return "no run has ended yet"
    console = Console(width=width, force_terminal=False)
    try:
        with console.capture() as captured:
            print_summary(summarise(study), console)
    except InputError as error:  # no result to begin with, say
        return str(error)
    return captured.get()
