"""What only reads starts no threads; what trains has those of the machine."""

import os
import subprocess
import sys

import pytest

STARTED = """
import os, sys, truelift.cli
def command():
    import numpy
    print(os.environ.get("OPENBLAS_NUM_THREADS"), len(os.listdir("/proc/self/task")))
truelift.cli.main = command
from truelift.__main__ import main
main()
"""


def started(command: str, **environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", STARTED, command], capture_output=True, text=True, check=True, env=kept | environment
    )
    return done.stdout.split()


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="only Linux tells a process its threads so")
def test_a_report_has_one_thread() -> None:
    assert started("report") == ["1", "1"]


def test_nothing_else_is_told_how_many() -> None:
    assert started("study")[0] == "None"
    assert started("report", OPENBLAS_NUM_THREADS="2")[0] == "2"  # the user's own wish
