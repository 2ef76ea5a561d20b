"""What only reads starts no threads; what trains has those of the machine."""

import os
import subprocess
import sys

import pytest

from truelift.cli import main
from truelift.training.hardware import threads_of

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


def test_a_dry_run_takes_the_threads_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    class SeenError(Exception):
        pass

    def probe_all(configs: object, *, jobs: int, threads: int) -> None:
        raise SeenError(threads)

    monkeypatch.setattr("truelift.studies.probe.probe_all", probe_all)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # OpenMP's: 4, and 2 where parallel regions are nested
    with threads_of(3), pytest.raises(SeenError, match=r"^3$"):  # as if torch had read it
        main(["train", "--dry-run"])
    with threads_of(3), pytest.raises(SeenError, match=r"^2$"):
        main(["train", "--dry-run", "--threads", "2"])
