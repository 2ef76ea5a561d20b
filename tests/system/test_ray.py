"""Studies on a real Ray of two nodes: whatever is killed, each run ends once, with a laptop's numbers."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system import ray_nodes
from tests.system.on_cluster import TRAININGS, ended, programs
from tests.system.processes import ENVIRONMENT, TRUELIFT, until
from tests.system.test_study import numbers

from truelift.records import Run, Study
from truelift.records.holder import Holder
from truelift.records.leases import holder_of

pytestmark = [
    pytest.mark.skipif(ray_nodes.missing() is not None, reason=f"no Ray: {ray_nodes.missing()}"),
    pytest.mark.timeout(900),
]


# A run goes no further than its third step while as many have ended as the file says; without the file it does.
GATE = """
import pathlib, time

class Gate:
    def __init__(self):
        self.made = 0
    def step(self):
        self.made += 1
        while self.made > 2 and self.is_closed():
            time.sleep(0.05)
    def is_closed(self):
        try:
            most = int(pathlib.Path("gate").read_text() or 0)
        except FileNotFoundError:
            return False
        return len(list(pathlib.Path("ray").glob("runs/*/*/result.json"))) >= most
    def state_dict(self):
        return {"made": self.made}
    def load_state_dict(self, state):
        self.made = state["made"]
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[ray_nodes.Nodes]:
    with ray_nodes.nodes() as running:
        yield running


_started: "list[subprocess.Popen[str]]" = []


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    while _started:
        _started.pop().kill()


def truelift(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """In a new interpreter: Ray waits for ever in a process that was forked after torch was imported."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*TRUELIFT, *arguments], cwd=home, env=ENVIRONMENT, text=True, stdout=pipe, stderr=pipe, process_group=0
    )
    _started.append(process)
    return process


def comes(process: "subprocess.Popen[str]", holds: Callable[[], object]) -> bool:
    """Whether it comes while the process runs."""
    assert until(lambda: holds() or process.poll() is not None, 200)
    return bool(holds()) or pytest.fail("".join(process.communicate()))


def on(nodes: ray_nodes.Nodes) -> list[str]:
    return ["--executor", "ray", "--executor.address", nodes.address]


def running(folder: Path) -> list[Holder]:
    """Who makes runs, and not only makes their folders ready."""
    found = (holder_of(path) for path in folder.glob("runs/*/*"))
    return [holder for holder in found if holder is not None and holder.executor == "ray"]


def done(folder: Path) -> int:
    return len(list(folder.glob("runs/*/*/result.json")))


def tasks(folder: Path) -> list[int]:
    """The processes of Ray's that the runs descend from."""
    return [task for holder in running(folder) if (task := task_of(holder.process)) is not None]


def task_of(process: int) -> int | None:
    """The process of Ray's that another descends from, while both run."""
    with contextlib.suppress(OSError, IndexError):
        while process > 1:
            if Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::"):
                return process
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def test_whatever_is_killed_all_runs_end_with_the_same_numbers(nodes: ray_nodes.Nodes, tmp_path: Path) -> None:
    gated = TRAININGS.replace("[variants.a]", 'policy.names = ["gate.py:Gate"]\n[variants.a]')
    (tmp_path / "study.toml").write_text(gated)
    (tmp_path / "gate.py").write_text(GATE)
    gate = tmp_path / "gate"
    gate.write_text("0")
    options = ["study", "study.toml", "--seeds", "6", "--checkpoint_seconds", "0"]
    folder = tmp_path / "ray"
    command = [*options, "--out", "ray", *on(nodes)]
    waiting = truelift(tmp_path, *command)
    assert comes(waiting, lambda: running(folder) and [*folder.glob("runs/*/*/checkpoint.pt")])
    first = running(folder)[0]
    os.kill(first.process, signal.SIGKILL)  # a run
    gate.write_text("1")
    found: list[int] = []

    def any_task() -> bool:
        found.extend(tasks(folder))
        return bool(found)

    assert comes(waiting, lambda: done(folder) and any_task())
    os.kill(found[0], signal.SIGKILL)  # a worker of Ray's, and its run with it
    gate.write_text("3")
    assert comes(waiting, lambda: done(folder) >= 3)
    waiting.kill()
    waiting.communicate()
    gate.write_text("6")
    again = truelift(tmp_path, *command)
    assert comes(again, lambda: done(folder) >= 6)
    os.kill(nodes.raylet, signal.SIGKILL)  # a node
    gate.unlink()
    out, err = ended(again)
    assert out.count("test_accuracy") >= 6, out + err
    assert [run.status for run in Study.read(folder).runs] == ["done"] * 12
    assert not list(folder.glob("runs/*/*/failure.json"))
    ended(truelift(tmp_path, *options, "--out", "local", "--jobs", "2"))
    assert numbers(folder) == numbers(tmp_path / "local")
    tables = [json.loads(ended(truelift(tmp_path, "report", name, "--json"))[0]) for name in ("ray", "local")]
    assert tables[0]["variants"] == tables[1]["variants"]
    # One that was killed with its result written could not take its lease away: it holds nothing.
    assert not [run for run in Study.read(folder).runs if holder_of(run.folder) is not None]
    assert not [*folder.glob("ray/*")]


def test_cancelled_or_interrupted_it_ends_and_another_executor_goes_on(nodes: ray_nodes.Nodes, tmp_path: Path) -> None:
    study, folder = programs(tmp_path, 600), tmp_path / "s"
    command = ["study", study, "--out", "s", *on(nodes)]
    waiting = truelift(tmp_path, *command)
    assert comes(waiting, lambda: running(folder))
    status = json.loads(ended(truelift(tmp_path, "status", "s", "--json"))[0])
    assert {run["executor"] for run in status["runs"] if run["state"] == "running"} == {"ray"}
    out, _ = ended(truelift(tmp_path, "cancel", "s"))
    assert f"process {waiting.pid} on {socket.gethostname()} is told to end its tasks\n" in out
    out, err = ended(waiting, 143)
    assert "truelift cancel ends this command, and its runs" in out
    assert err.endswith(f"truelift: stopped by SIGTERM. To go on: truelift {' '.join(command)}\n")
    assert not running(folder)
    assert "nothing of this study" in ended(truelift(tmp_path, "cancel", "s"))[0]
    waiting = truelift(tmp_path, *command)
    assert comes(waiting, lambda: running(folder))
    os.killpg(waiting.pid, signal.SIGINT)
    ended(waiting, 130)
    assert not running(folder)
    assert not list(folder.glob("runs/*/*/failure.json"))
    for place in folder.glob("runs/*/*/place"):
        place.write_text("599")
    (run,) = {run.folder for run in Study.read(folder).runs if (run.variant, run.seed) == ("a", 0)}
    ended(truelift(tmp_path, "work", "s", "--runs", run.relative_to(folder).as_posix()))
    assert Run("a", 0, run).status == "done"
    assert (run / "begun").read_text().count("once") >= 2


def test_until_decided(nodes: ray_nodes.Nodes, tmp_path: Path) -> None:
    study = programs(tmp_path, 1)
    text = (tmp_path / study).read_text().replace("seeds = 2\n", "until_decided = { max_seeds = 8 }\n")
    (tmp_path / study).write_text(text)
    out, _ = ended(truelift(tmp_path, "study", study, "--out", "s", *on(nodes)))
    assert re.search(r"b settled after \d seeds: helps", out), out
    ended(truelift(tmp_path, "study", study, "--out", "local", "--jobs", "2"))
    assert done(tmp_path / "s") < 16
    tables = [json.loads(ended(truelift(tmp_path, "report", name, "--json"))[0]) for name in ("s", "local")]
    assert tables[0]["variants"] == tables[1]["variants"]


def test_what_cannot_work_is_told_before_anything_is_written(nodes: ray_nodes.Nodes, tmp_path: Path) -> None:
    command = ["study", programs(tmp_path, 1), "--out", "s", "--executor", "ray"]
    _, err = ended(truelift(tmp_path, *command, "--executor.address", nodes.address, "--executor.cpus", "64"), 2)
    assert err == "truelift: error: executor.cpus must be at most 1, as the largest node has, got 64.\n"
    out, _ = ended(truelift(tmp_path, *command, "--executor.address", nodes.address, "--dry_run"))
    assert out.startswith(f"4 runs as tasks of Ray's at {nodes.address}, each with CPU 1\n")
    assert not (tmp_path / "s").exists()
