"""SIGTERM is a preemption, and Ctrl-C is one line, wherever they come."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.commands.started import all_done, run
from tests.system.processes import ENVIRONMENT, TRUELIFT, kill, running, started, together, until

from truelift.records import Predictions, Run

SMALL = ["--model", "resnet8", "--model.width", "4", "--data.train_images", "400", "--batch_size", "16"]
OPTIONS = ["train", *SMALL, "--epochs", "10", "--precision", "fp32", "--checkpoint_seconds", "1000"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    done = run([*OPTIONS, "--out", "run"], cwd=folder, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def assert_same(one: Path, other: Path) -> None:
    """The same weights, lines of metrics and predictions, bit for bit."""
    a, b = (torch.load(run / "checkpoint.pt", weights_only=True)["network"] for run in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    curves = [
        [{k: v for k, v in line.items() if "second" not in k} for line in Run("", 0, run).metrics()]
        for run in (one, other)
    ]
    assert curves[0] == curves[1]
    x, y = (Predictions.read(run / "predictions.npz").probability for run in (one, other))
    assert np.array_equal(x, y)


LAUNCHERS = pytest.mark.parametrize(
    "launcher", [[], ["unshare", "--pid", "--fork", "--kill-child"]], ids=["process", "process 1"]
)


def victim(process: "subprocess.Popen[str]", launcher: list[str]) -> int:
    """truelift's own process: in a process number space of its own it has number 1, as in a container."""
    if not launcher:
        return process.pid
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def must_be_possible(launcher: list[str]) -> None:
    if launcher and subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a process number space cannot be made here")


@LAUNCHERS
def test_sigterm_writes_a_checkpoint_at_the_next_step(tmp_path: Path, whole: Path, launcher: list[str]) -> None:
    must_be_possible(launcher)
    process = started(tmp_path, *OPTIONS, "--out", "run", launcher=[*launcher, *TRUELIFT])
    metrics = tmp_path / "run/metrics.jsonl"
    assert until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 12)
    os.kill(victim(process, launcher), signal.SIGTERM)
    *_, before, last = (line["step"] for line in Run("", 0, tmp_path / "run").metrics() if line["kind"] == "train")
    _, told = process.communicate(timeout=100)
    assert process.returncode == 143, told
    command = " ".join(["truelift", *OPTIONS, "--out", "run"])
    assert told == f"truelift: stopped by SIGTERM. To go on: {command}\n"
    stopped = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["meters"]["step"]
    assert 0 < stopped <= last + (last - before) + 2 < 250  # what was not logged yet, and the step under way
    assert not (tmp_path / "run/result.json").exists()
    again = run([*OPTIONS, "--out", "run"], cwd=tmp_path, env=ENVIRONMENT)
    assert again.returncode == 0, again.stderr
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3, 0.7, 1.5])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_it_starts(tmp_path: Path, seconds: float, number: int) -> None:
    """From when on Python runs the command's first line."""
    script = "import sys; from truelift.__main__ import main; print(1, file=sys.stderr, flush=True); main()"
    process = started(tmp_path, *OPTIONS, "--out", "run", launcher=[sys.executable, "-c", script])
    assert process.stderr is not None
    assert process.stderr.readline() == "1\n"
    time.sleep(seconds)
    told = kill(process, number)
    assert process.returncode == 128 + number, told
    assert told.startswith("truelift: stopped")
    assert told.count("\n") == 1


def test_of_several_processes_all_stop_at_one_step(tmp_path: Path) -> None:
    """Even where one alone is told."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "truelift"]
    whole = together(tmp_path, *OPTIONS, "--out", "whole")
    process = started(tmp_path, *OPTIONS, "--out", "cut", launcher=command)
    metrics = tmp_path / "cut/metrics.jsonl"
    assert until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 8, 200)
    last = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[-1])
    os.kill(last, signal.SIGTERM)
    _, told = process.communicate(timeout=200)
    assert "exitcode  : 143" in told or "exitcode: 143" in told, told
    assert told.count("truelift: stopped by SIGTERM") == 1
    assert (tmp_path / "cut/checkpoint.pt").exists()
    all_done([*whole, *together(tmp_path, *OPTIONS, "--out", "cut")], 200)
    assert_same(tmp_path / "cut", tmp_path / "whole")


@LAUNCHERS
def test_a_preempted_study_goes_on(tmp_path: Path, launcher: list[str]) -> None:
    must_be_possible(launcher)
    study = tmp_path / "study.toml"
    study.write_text(
        '[experiment]\nmodel.name = "resnet8"\nmodel.width = 4\nepochs = 12\ndata.train_images = 400\n'
        'batch_size = 16\nprecision = "fp32"\n[variants.a]\n[variants.b]\nmodel.last_relu = false\n'
    )
    options = ["study", str(study), "--seeds", "1", "--checkpoint_seconds", "1000"]
    process = started(tmp_path, *options, "--out", "cut", launcher=[*launcher, *TRUELIFT])

    def lines() -> list[int]:
        return [len(path.read_text().splitlines()) for path in tmp_path.glob("cut/runs/*/*/metrics.jsonl")]

    assert until(lambda: len(lines()) == 2 and min(lines()) > 3)
    os.kill(victim(process, launcher), signal.SIGTERM)
    _, told = process.communicate(timeout=200)
    assert process.returncode == 143, told
    assert not running(tmp_path)
    assert len(list(tmp_path.glob("cut/runs/*/*/checkpoint.pt"))) == 2
    assert not list(tmp_path.glob("cut/runs/*/*/failure.json"))
    shutil.copytree(tmp_path / "cut", tmp_path / "copy")
    again = run([*options, "--out", "cut"], cwd=tmp_path, env=ENVIRONMENT)
    assert again.returncode == 0, again.stderr
    for folder in tmp_path.glob("cut/runs/*/*"):
        assert json.loads((folder / "result.json").read_text())["epochs"] == 12
