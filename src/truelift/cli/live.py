"""A study while it runs: on a terminal a table that is redrawn every second, else a line now and then.

All that is shown is read from the ends of the runs' records, so that no run is slowed by it.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from truelift.cli.progress import begun_line, name, progress_line, progress_table
from truelift.cli.say import ONE_AT_A_TIME
from truelift.errors import InputError
from truelift.records import Run, log_tail
from truelift.records.progress import RunProgress, StudyProgress, study_progress

LINE_SECONDS = 60.0
"""Between two lines without a terminal."""
_REDRAWN_SECONDS = 1.0
_MOST_LINES = 8
"""Of a run's log, with --verbose, a second."""


class LiveStudy:
    """Shows the runs that run, and the whole. A context manager.

    Args:
        tell: Prints a line.
        until_decided: Whether fewer runs than planned may be needed.
        terminal: Whether there is a terminal to draw on.
        verbose: Also tell what runs print.
    """

    def __init__(
        self, tell: Callable[[str], None], *, until_decided: bool, terminal: bool, verbose: bool = False
    ) -> None:
        self._tell = tell
        self._until_decided = until_decided
        self._verbose = verbose
        self._runs: Sequence[Run] = ()
        self._by_folder: dict[Path, Run] = {}
        self._running: dict[Path, None] = {}
        self._seen: dict[Path, RunProgress] = {}
        self._read: dict[Path, int] = {}
        self._jobs = 1
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._live = (
            Live(console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty())
            if terminal
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(5.0)
        if self._live is not None:
            self._live.stop()

    def begin(self, runs: Sequence[Run], pending: Sequence[Path], jobs: int) -> None:
        """Say what is done already, and go on looking."""
        self._runs, self._jobs = runs, jobs
        self._by_folder = {run.folder: run for run in runs}
        resumed = sum((path / "checkpoint.pt").exists() for path in pending)
        self._tell(begun_line(len(runs) - len(pending), resumed, len(runs), jobs))
        if pending:
            if self._live is not None:
                self._live.start()
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()

    def begun(self, folder: Path) -> None:
        """A run has started."""
        self._running[folder] = None
        if self._live is None:
            run = self._by_folder[folder]
            self._tell(f"begins: {run.variant} seed {run.seed}")

    def ended(self, folder: Path) -> None:
        """A run has ended."""
        if self._verbose:
            self._tell_log(folder)
        self._running.pop(folder, None)
        self._seen.pop(folder, None)

    def _look(self) -> None:
        pause = _REDRAWN_SECONDS if self._live is not None or self._verbose else LINE_SECONDS
        due = time.monotonic() + LINE_SECONDS
        while not self._over.wait(pause):
            with suppress(OSError, InputError):  # a folder was removed: the study says so
                if self._verbose:
                    for folder in list(self._running):
                        self._tell_log(folder)
                if self._live is not None:
                    self._draw(self._live)
                elif time.monotonic() >= due:
                    due += LINE_SECONDS
                    self._tell(in_a_line(self._progress(), until_decided=self._until_decided))

    def _progress(self) -> StudyProgress:
        return study_progress(
            self._runs, running=list(self._running), jobs=self._jobs, ended=self._seen, now=time.time()
        )

    def _draw(self, live: Live) -> None:
        progress = self._progress()
        rows = max(2, live.console.height - 6)
        line = Text(progress_line(progress, until_decided=self._until_decided), style="bold")
        with ONE_AT_A_TIME:
            live.update(Group(progress_table(progress, time.time(), rows), line), refresh=True)

    def _tell_log(self, folder: Path) -> None:
        """What a run has printed since."""
        run, path = self._by_folder[folder], folder / "log.txt"
        with suppress(OSError):
            size = path.stat().st_size
            before = self._read.setdefault(folder, 0)
            if size != before:
                self._read[folder] = size
                for line in log_tail(folder, _MOST_LINES if size > before else 1):
                    self._tell(f"{run.variant} seed {run.seed} | {line}")


def in_a_line(progress: StudyProgress, *, until_decided: bool) -> str:
    """The whole and its running runs on one line."""
    running = [run for run in progress.of("running") if run.step is not None and run.steps]
    told = [f"{name(run)} {run.step:,}/{run.steps:,}" for run in running[:4]]
    more = [f"{len(running) - 4} more"] if len(running) > 4 else []
    return "; ".join(
        [progress_line(progress, until_decided=until_decided), *([", ".join(told + more)] if told else [])]
    )
