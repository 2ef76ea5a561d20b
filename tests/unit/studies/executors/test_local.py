"""How this machine is shared out; a program of the user's tells what it was given."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
import torch

from truelift.processes import available_cores
from truelift.records.config_file import write_config_file
from truelift.studies.executors import Work
from truelift.studies.executors.local import Local
from truelift.studies.shares import Shares
from truelift.training.hardware import visible_gpus

PROGRAM = """
import json, os, sys, time
out = sys.argv[1]
began = time.monotonic()
time.sleep(0.5)
gpu = int(os.environ.get("CUDA_VISIBLE_DEVICES", -1))
json.dump({"gpu": gpu, "began": began, "ended": time.monotonic()}, open(out + "/metrics.json", "w"))
"""


def given(folder: Path, runs: int, jobs: int, gpus: tuple[str, ...]) -> list[dict[str, float]]:
    """What each run's program found."""
    (folder / "program.py").write_text(PROGRAM)
    folders = [folder / f"run-{number}" for number in range(runs)]
    for run in folders:
        run.mkdir()
        config = {"command": f"{sys.executable} {folder}/program.py {{out}}", "args": "", "seed": 0}
        (run / "config.toml").write_text(tomli_w.dumps(config))
    assert sorted(Local(jobs, 1, gpus).run(folders, Work(folder))) == folders
    return [json.loads((run / "result.json").read_text())["metrics"] for run in folders]


def test_each_run_has_a_gpu_to_itself(tmp_path: Path) -> None:
    found = given(tmp_path, 5, 2, ("3", "7"))
    assert {run["gpu"] for run in found} == {3, 7}
    for gpu in (3, 7):
        mine = sorted((run["began"], run["ended"]) for run in found if run["gpu"] == gpu)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(mine))
    assert "runs_a_gpu" not in json.loads((tmp_path / "run-0/environment.json").read_text())


def test_more_jobs_than_gpus_share_them(tmp_path: Path) -> None:
    found = given(tmp_path, 2, 2, ("5",))
    assert [run["gpu"] for run in found] == [5, 5]
    told = [json.loads((tmp_path / f"run-{number}/environment.json").read_text())["runs_a_gpu"] for number in range(2)]
    assert told == [2, 2]


def test_without_gpus_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [run["gpu"] for run in given(tmp_path, 1, 1, ())] == [-1]


def test_shares_of_the_machine() -> None:
    cores = available_cores()
    assert Shares.of_machine(None, ()) == Shares(cores, 1, ())
    assert Shares.of_machine(None, ("0",)) == Shares(1, cores, ("0",))
    assert Shares.of_machine(4 * cores, ("0", "1")) == Shares(4 * cores, 1, ("0", "1"))


@pytest.mark.parametrize(
    ("named", "count", "gpus"),
    [(None, 0, ()), (None, 2, ("0", "1")), ("2,5", 2, ("2", "5")), ("GPU-8f", 1, ("GPU-8f",)), ("", 0, ())],
)
def test_gpus_are_named_as_they_may_be_used(
    monkeypatch: pytest.MonkeyPatch, named: str | None, count: int, gpus: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == gpus


HOLDS = """
import sys
from pathlib import Path
from truelift.records import leased
with leased(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_that_another_process_here_makes_has_not_begun(tmp_path: Path, *, killed: bool) -> None:
    runs = [tmp_path / name for name in ("held", "free")]
    command = "sh -c 'echo {{\"a\": {seed}}} > {out}/metrics.json'"
    for run in runs:
        run.mkdir()
        write_config_file(run, tomli_w.dumps({"command": command, "args": "", "seed": 1}))
    begun: list[Path] = []
    told: list[str] = []
    work = Work(tmp_path, metric="a", tell=told.append, begun=begun.append)
    arguments = [sys.executable, "-c", HOLDS, str(runs[0])]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        running = Local(1, 1).run(runs, work)
        assert next(running) == runs[1]
        assert begun == [runs[1]]
        if killed:
            other.kill()
        else:
            other.communicate("")
        assert list(running) == [runs[0]]
    assert begun == [runs[1], runs[0]]
