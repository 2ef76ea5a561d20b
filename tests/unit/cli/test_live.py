"""The table of a study that runs, redrawn by one thread while another prints."""

import io
import re
import threading
from pathlib import Path

from rich.console import Console
from rich.live import Live

from truelift.cli.live import LiveStudy
from truelift.cli.say import ONE_AT_A_TIME
from truelift.records import Run

LINES = 2000


def screen(written: str) -> list[str]:
    """What a terminal shows of these letters and of the movements of its cursor."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|[^\x1b\r\n]+", written):
        up, erased = re.fullmatch(r"\x1b\[(\d*)A", token), re.fullmatch(r"\x1b\[\d*K", token)
        if token == "\n":
            row += 1
        elif up:
            row -= int(up[1] or 1)
        elif not token.startswith("\x1b") or erased:
            lines += [""] * (row + 1 - len(lines))
            lines[row] = "" if erased else token
    return lines


def test_no_line_is_lost_while_the_table_is_redrawn(tmp_path: Path) -> None:
    shown = LiveStudy(print, until_decided=False, terminal=False)
    console = Console(file=io.StringIO(), force_terminal=True, width=80, highlight=False, color_system=None)
    live, over = Live(console=console, auto_refresh=False, transient=True), threading.Event()
    runs = [Run("a", seed, tmp_path / str(seed)) for seed in range(4)]
    shown.begin(runs, [], jobs=4)
    live.start()

    def redraw() -> None:
        count = 0
        while not over.is_set():
            count += 1
            for run in runs[: count % 4]:
                shown.begun(run.folder)
            shown._draw(live)
            for run in runs[: count % 4]:
                shown.ended(run.folder)

    thread = threading.Thread(target=redraw)
    thread.start()
    for number in range(LINES):
        with ONE_AT_A_TIME:
            console.print(f"line {number}")
    over.set()
    thread.join()
    live.stop()
    assert isinstance(console.file, io.StringIO)
    assert [line for line in screen(console.file.getvalue()) if line.startswith("line")] == [
        f"line {number}" for number in range(LINES)
    ]
