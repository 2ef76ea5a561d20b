"""Two machines that share a folder: namespaces of their own for network, mounts, names and processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.processes import until

from truelift.records import Study


def _possible() -> bool:
    command = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.skipif(not _possible(), reason="no namespaces: they need Linux, unshare and root"),
    pytest.mark.timeout(600),
]

# Tells where it was begun and where it ended; runs wait until both machines have one.
PROGRAM = """
import json, os, pathlib, socket, sys, time
out = pathlib.Path(sys.argv[1])
def told(what):
    with (out / what).open("a") as file: file.write(socket.gethostname() + "\\n")
told("begun")
while not pathlib.Path("go").exists(): time.sleep(0.05)
time.sleep(2)
told("ended")
(out / "metrics.json").write_text(json.dumps({"accuracy": 80 + int(sys.argv[2])}))
"""


def host(name: str, home: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """A command on a machine of this name, which sees no process of the other."""
    command = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    line = f'hostname {name} && exec "$@"'
    environment = {**os.environ, "TRUELIFT_HEARTBEAT": "0.5", "OMP_NUM_THREADS": "1"}
    with (home / f"{name}.txt").open("ab") as log:
        return subprocess.Popen(
            [*command, "sh", "-c", line, "sh", sys.executable, "-m", "truelift", *arguments],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
            process_group=0,
        )


def inside(process: "subprocess.Popen[bytes]") -> list[int]:
    """All that runs on a machine: what descends from it, and what has lost its parent there."""
    (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    space = os.readlink(f"/proc/{first}/ns/pid")
    found = []
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{number}/ns/pid") == space:
                found.append(int(number))
        except OSError:
            continue
    return found


def all_at_once(processes: list[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


def lines(folder: Path, name: str) -> dict[Path, list[str]]:
    return {path.parent: path.read_text().split() for path in folder.glob(f"runs/*/*/{name}")}


def test_no_run_is_done_twice_and_none_is_lost_when_a_machine_stops(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "study.toml").write_text(
        f'command = "{sys.executable} program.py {{out}} {{seed}} {{args}}"\nmetric = "accuracy"\nseeds = 6\n'
        '[variants.a]\n[variants.b]\nargs = "b"\n'
    )
    folder = tmp_path / "s"
    first = host("north", tmp_path, "study", "study.toml", "--out", "s", "--jobs", "1")
    assert until(lambda: lines(folder, "begun"), 250)
    second = host("south", tmp_path, "work", "s")
    assert until(lambda: ["south"] in lines(folder, "begun").values(), 250), (tmp_path / "south.txt").read_text()
    (tmp_path / "go").touch()
    assert until(lambda: list(lines(folder, "begun").values()).count(["north"]) == 2, 100)
    stopped = inside(first)
    all_at_once(stopped, signal.SIGSTOP)  # as a machine that hangs: no heartbeat comes
    held = [path.parent for path in folder.glob("runs/*/*/.lease-*") if json.loads(path.read_text())["host"] == "north"]
    assert second.wait(300) == 0, (tmp_path / "south.txt").read_text()
    assert [run.status for run in Study.read(folder).runs] == ["done"] * 12
    results = {run: (run / "result.json").read_bytes() for run in lines(folder, "ended")}
    all_at_once(stopped, signal.SIGCONT)
    assert first.wait(300) == 0, (tmp_path / "north.txt").read_text()
    assert {run: (run / "result.json").read_bytes() for run in results} == results  # nobody wrote over them
    assert len(held) == 1
    begun, done_by = lines(folder, "begun"), lines(folder, "ended")
    assert begun.pop(held[0]) == ["north", "south"]  # taken over, once
    assert all(len(hosts) == 1 for hosts in begun.values())
    assert len(begun) == 11
    assert len(done_by) == 12
    assert "was taken over" in (held[0] / "log.txt").read_text()  # as the one that came back says
    assert not [*folder.rglob(".lease-*"), *folder.rglob("failure.json")]
