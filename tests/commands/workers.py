"""What the processes of test_started.py do; a process imports it by name."""

import sys
import time
from pathlib import Path

LINES = ["x" * 4096] * 64
"""More than a pipe holds."""


def one_fails(rank: int, seconds: float) -> None:
    """The last one raises after so many seconds, the first waits for it in vain."""
    if rank == 0:
        print("waits for the other", file=sys.stderr, flush=True)
        time.sleep(600)
    time.sleep(seconds)
    raise ValueError("nobody comes")


def all_fill_their_streams(rank: int, file: str) -> None:
    """The last one is done before the first one begins."""
    while rank == 0 and not Path(file).exists():
        time.sleep(0.01)
    for line in LINES:
        print(line, file=sys.stderr)
    if rank == 1:
        Path(file).touch()


def waits(rank: int) -> None:
    """For ever."""
    print("begun", file=sys.stderr, flush=True)
    time.sleep(600)
