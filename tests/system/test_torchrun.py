"""One training over two processes, as torchrun starts them, or with the variables that it sets."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.commands.started import PIPE, all_done, begin
from tests.system.processes import ENVIRONMENT, together

from truelift.records import Predictions, Run

pytestmark = pytest.mark.timeout(200)

WORKER = Path(__file__).parent / "torchrun_worker.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

SMALL: dict[str, Any] = {
    "model.name": "resnet8",
    "model.width": 4,
    "data.train_images": 400,
    "epochs": 4,
    "batch_size": 32,
    "precision": "fp32",
}


def worker(folder: Path, settings: dict[str, Any]) -> list[str]:
    return [str(folder), json.dumps({**SMALL, **settings})]


def held(folder: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What each of two processes holds after a training."""
    all_done(together(folder, *worker(folder, settings), script=WORKER))
    return [torch.load(folder / f"held-2-{rank}.pt") for rank in range(2)]


def assert_equal(one: Any, other: Any, where: str = "") -> None:
    """Bit for bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}.{number}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


@pytest.mark.parametrize(
    "settings",
    [
        {"freezing.name": "freezeout", "freezing.t0": 0.4, "schedule.name": "constant"},
        {"freezing.name": "adaptive-representation", "freezing.every_steps": 4, "freezing.tolerance": 0.8},
        {
            "objective.name": "gaussian-mixture",
            "objective.covariance": "diagonal",
            "objective.variances": "tracked",
            "objective.priors": "estimated",
        },
        {"tasks.auxiliary": ["3", "4"], "tasks.batch_norm": "separate", "gradient.name": "weighted"},
        {"schedule.name": "step", "schedule.warmup": "until-error", "schedule.warmup_factor": 0.1},
    ],
    ids=["freezeout", "adaptive", "tracked variances", "auxiliary task", "warm-up until the error is low"],
)
def test_both_processes_hold_the_same_to_the_last_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    first, second = held(tmp_path, settings)
    assert len(first["losses"]) > 4
    assert_equal(first, second)
    assert not any(key.startswith("module.") for key in first["network"])
    if "freezing.name" in settings:
        assert first["frozen"] > 0
        assert first["exchanged"] == sorted(first["exchanged"], reverse=True)  # frozen layers leave the exchange
        assert first["exchanged"][-1] < first["exchanged"][0]


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    """To rounding, where no batch norm looks at a process's own part of the batch."""
    settings = {"model.name": "small-cnn", "augmentation.cutout": 2, "optimizer.clip_norm": 1.0}
    all_done([begin(worker(tmp_path, settings), cwd=tmp_path, env=ENVIRONMENT, stderr=PIPE, script=WORKER)])
    alone = torch.load(tmp_path / "held-1-0.pt")
    command = [*TORCHRUN, str(WORKER), *worker(tmp_path, settings)]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=150, check=False)
    assert ended.returncode == 0, ended.stderr
    first = torch.load(tmp_path / "held-2-0.pt")
    assert alone["losses"] == pytest.approx(first["losses"], rel=1e-4)
    for name, tensor in alone["network"].items():
        torch.testing.assert_close(first["network"][name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert torch.equal(alone["predicted"], first["predicted"])
    assert alone["exchanged"] == []


def train(out: Path, **settings: Any) -> list[str]:
    options = [text for name, value in {**SMALL, **settings}.items() for text in (f"--{name}", str(value))]
    return ["train", "--out", str(out), "--checkpoint_seconds", "0", *options]


def test_killed_and_started_again_it_ends_the_same(tmp_path: Path) -> None:
    told = all_done(together(tmp_path, *train(tmp_path / "whole")))
    ends = [sum("test accuracy" in line and "epoch" not in line for line in out.splitlines()) for out, _ in told]
    assert ends == [1, 0], told  # one process tells the end

    command = [*TORCHRUN, "-m", "truelift", *train(tmp_path / "cut")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    metrics = tmp_path / "cut/metrics.jsonl"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 8):
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)  # one of the two; torchrun ends the other
    assert process.wait(200) != 0
    assert not (tmp_path / "cut/result.json").exists()

    all_done(together(tmp_path, *train(tmp_path / "cut")))
    for name in ("network", "optimizer", "meters"):
        one, other = (torch.load(tmp_path / run / "checkpoint.pt", weights_only=True)[name] for run in ("whole", "cut"))
        if name == "meters":
            one, other = ({k: v for k, v in found.items() if "seconds" not in k} for found in (one, other))
        assert_equal(one, other, name)
    runs = [Run("", 0, tmp_path / run) for run in ("whole", "cut")]
    a, b = ([{k: v for k, v in line.items() if "second" not in k} for line in run.metrics()] for run in runs)
    assert a == b
    one, other = (Predictions.read(tmp_path / run / "predictions.npz") for run in ("whole", "cut"))
    assert np.array_equal(one.probability, other.probability)
    assert runs[0].environment()["processes"] == 2


def test_bad_input_ends_both_with_one_line(tmp_path: Path) -> None:
    for command, words in (
        (
            train(tmp_path / "run", batch_size=33),
            "batch_size must be a multiple of the 2 processes that share it, got 33",
        ),
        (["study", "digits", "--out", str(tmp_path / "study")], "study starts its own processes"),
    ):
        for _, err in all_done(together(tmp_path, *command), status=2):
            (line,) = err.splitlines()
            assert words in line
        assert not list(tmp_path.iterdir())


def test_a_state_that_no_checkpoint_gives_back_ends_both(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy\nclass Mine:\n    def update(self): pass\n"
        "    def state_dict(self): return {'a': numpy.zeros(2)}\n"
    )
    command = [*train(tmp_path / "run"), "--policy", str(tmp_path / "mine.py:Mine")]
    for _, err in all_done(together(tmp_path, *command), status=2):
        assert "must keep its state in tensors" in err
