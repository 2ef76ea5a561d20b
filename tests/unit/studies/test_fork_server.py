"""A run that is forked from the server is what it would be in a new interpreter, to the last bit."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tomli_w

from truelift.processes import is_running
from truelift.records import Predictions, Run
from truelift.studies import start
from truelift.studies.executors import Work, local
from truelift.studies.executors.local import Local
from truelift.studies.start import Anew, Forked, ForkServer, environment_for
from truelift.training import resolve
from truelift.training.identity import write_config
from truelift.training.settings import flatten, parse_experiment

STARTED_IN = os.getcwd()

pytestmark = pytest.mark.skipif(not start.can_fork(), reason="runs are forked on Linux alone")

SETTINGS = {
    "epochs": 1,
    "batch_size": 32,
    "model": {"name": "resnet8", "width": 4},
    "data": {"name": "digits", "train_images": 200},
}

# A data set of one's own that tells what it finds, and then does as it is told.
OWN = """
import json, os, pathlib, random, signal, sys, threading, time
import numpy as np

def images(out, then=""):
    found = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    handlers = [getattr(handler, "__qualname__", str(handler)) for handler in found]
    told = {
        "environment": dict(os.environ), "folder": os.getcwd(), "path": sys.path, "arguments": sys.argv,
        "standard input": os.readlink("/proc/self/fd/0"), "handlers": handlers, "umask": os.umask(0o022),
        "leads its session": os.getsid(0) == os.getpid() == os.getpgid(0),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "files": sorted(name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
        "drawn": [random.random(), float(np.random.rand())],
    }
    pathlib.Path(out).write_text(json.dumps(told))
    print("a word from the run")
    if then == "abort":
        os.abort()
    if then == "wait":
        time.sleep(1000)
    labels = np.arange(64) % 2
    return {"train": (((labels * 200)[:, None, None] * np.ones((64, 8, 8), int)).astype(np.uint8), labels)}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer(1)
    yield server
    server.close()
    assert not is_running(server.pid)


def folder_of(place: Path, name: str, settings: dict[str, Any]) -> Path:
    folder = place / name
    folder.mkdir()
    configure(folder, settings)
    return folder


def configure(folder: Path, settings: dict[str, Any]) -> None:
    write_config(folder, resolve(parse_experiment(flatten({"seed": 3, **settings}), "this test")))


def own(place: Path, name: str, then: str = "") -> dict[str, Any]:
    (place / "mine.py").write_text(OWN)
    args = {"out": str(place / f"{name}.json"), "then": then}
    return SETTINGS | {"data": {"name": f"{place}/mine.py:images", "args": args}}


def made(server: ForkServer | None, folder: Path, environment: dict[str, str]) -> int | None:
    with (folder / "log.txt").open("a") as log:
        worker = start.start(server, [str(folder), "30"], log.fileno(), environment)
        assert isinstance(worker, Anew if server is None else Forked)
        return worker.wait()


def test_numbers_are_those_of_a_new_interpreter(server: ForkServer, tmp_path: Path) -> None:
    assert server.is_ready()
    runs = []
    for name, of in (("new", None), ("forked", server), ("again", server)):
        folder = folder_of(tmp_path, name, SETTINGS)
        assert made(of, folder, environment_for(1)) == 0, (folder / "log.txt").read_text()
        runs.append(Run(name, 3, folder))
    lines = [[{k: v for k, v in line.items() if "second" not in k} for line in run.metrics()] for run in runs]
    assert lines[0]
    assert lines[0] == lines[1] == lines[2]
    found = [Predictions.read(run.folder / "predictions.npz").probability for run in runs]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_a_run_finds_what_it_would_find_in_a_new_interpreter(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.is_ready()
    environment = environment_for(1) | {"CUDA_VISIBLE_DEVICES": "5", "OF_A_RUN": "\udcff"}
    monkeypatch.chdir(tmp_path)
    told = []
    for name, of in (("new", None), ("forked", server), ("again", server)):
        folder = folder_of(tmp_path, name, own(tmp_path, name))
        assert made(of, folder, environment) == 0, (folder / "log.txt").read_text()
        assert "a word from the run" in (folder / "log.txt").read_text()
        told.append(json.loads((tmp_path / f"{name}.json").read_text()))
        told[-1]["arguments"].remove(str(folder))
    assert told[1]["environment"]["CUDA_VISIBLE_DEVICES"] == "5"
    assert told[1]["leads its session"]
    drawn = [each.pop("drawn") for each in told]
    assert len({number for each in drawn for number in each}) == 6  # what draws without a seed, draws anew
    for each in told:
        # The server was started in another folder; what may be imported from here is found by own.py all the same.
        each["path"] = [place for place in each["path"] if place not in (str(tmp_path), STARTED_IN)]
        each["environment"] = {k: v for k, v in each["environment"].items() if not k.startswith(("KMP_", "TORCH"))}
    assert told[0] == told[1] == told[2]


def test_a_run_that_crashes_takes_nothing_along(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path, n, own(tmp_path, n, then)) for n, then in (("bad", "abort"), ("good", ""))]
    assert list(Local(1, 1).run(folders, Work(tmp_path))) == folders
    reason = json.loads((folders[0] / "failure.json").read_text())["reason"]
    assert reason == f"the process was killed by signal {signal.SIGABRT.value}"
    assert (folders[1] / "result.json").exists()


def test_where_the_server_is_killed_a_run_is_made_in_a_new_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[ForkServer] = []

    def server_for(threads: int) -> ForkServer:
        begun.append(ForkServer(threads))
        return begun[-1]

    monkeypatch.setattr(local, "server_for", server_for)
    waiting = tmp_path / "waits.json"
    folder = folder_of(tmp_path, "waits", own(tmp_path, "waits", "wait"))

    def kill() -> None:
        while not waiting.exists():
            time.sleep(0.01)
        configure(folder, own(tmp_path, "waits"))
        waiting.unlink()
        os.kill(begun[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert list(Local(1, 1).run([folder], Work(tmp_path))) == [folder]
    killer.join()
    assert (folder / "result.json").exists()
    assert not (folder / "failure.json").exists()


def test_a_server_that_cannot_import_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    server = ForkServer(1)
    assert not server.is_ready()
    server.close()


def test_a_server_that_was_begun_for_other_threads_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    start.begin(3)
    (begun,) = start._begun
    server = start.server_for(2)
    assert server is not None
    assert server is not begun
    assert not is_running(begun.pid)
    server.close()


def test_programs_need_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "server_for", lambda threads: pytest.fail("a server was started"))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text(tomli_w.dumps({"command": "true {seed} {out}", "args": "", "seed": 0}))
    assert list(Local(1, 1).run([folder], Work(tmp_path))) == [folder]
    assert "metrics.json" in json.loads((folder / "failure.json").read_text())["reason"]


def test_a_server_that_cannot_fork_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfork, count = os.fork, iter(range(9))\n"
        "def once():\n    if next(count):\n        raise OSError\n    return fork()\nos.fork = once\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    server = ForkServer(1)
    assert server.is_ready()
    with (tmp_path / "log.txt").open("a") as log:
        assert server.fork(["nowhere", "30"], log.fileno(), environment_for(1)) is None
    assert is_running(server.pid)
    server.close()


LATE = """
import os, threading, time
from pathlib import Path

Path(__file__).with_suffix(".txt").write_text(str(os.getpid()))
if {}:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""


@pytest.mark.parametrize("leaves_a_thread", [False, True])
def test_what_the_study_had_to_import_its_server_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves_a_thread: bool
) -> None:
    (tmp_path / "of_some_runs.py").write_text(LATE.format(leaves_a_thread))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(start, "LATE", ("of_some_runs", "of_none"))
    server = ForkServer(1)
    assert server.is_ready()
    assert not (tmp_path / "of_some_runs.txt").exists()
    monkeypatch.setitem(sys.modules, "of_some_runs", ModuleType("of_some_runs"))
    folder = folder_of(tmp_path, "run", SETTINGS)
    with (folder / "log.txt").open("a") as log:
        worker = start.start(server, [str(folder), "30"], log.fileno(), environment_for(1))
    assert isinstance(worker, Anew if leaves_a_thread else Forked)
    assert worker.wait() == 0
    assert (tmp_path / "of_some_runs.txt").read_text() == str(server.pid)
    server.close()


def test_a_server_that_is_let_go_ends(server: ForkServer) -> None:
    begun = ForkServer(1)
    assert begun.is_ready()
    begun.let_go()
    assert begun._process.wait(5.0) == 0
    assert is_running(server.pid)


def test_a_study_that_has_ended_leaves_no_server(server: ForkServer) -> None:
    begun = ForkServer(1)
    assert begun.is_ready()
    begun._channel.close()
    assert begun._process.wait(5.0) == 0
    begun.close()
    assert is_running(server.pid)
