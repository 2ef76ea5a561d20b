"""How far a study is, from its folders alone."""

import json
from pathlib import Path

import pytest
from tests.unit.records.test_leases import elsewhere
from tests.unit.report.conftest import make_study

from truelift.cli.status import duration, lines
from truelift.records import Study, leased, write_json
from truelift.records.status import counted, last_line, progress


def trained(run: Path, step: int) -> None:
    run.mkdir(exist_ok=True)
    (run / "config.toml").write_text("epochs = 10\nbatch_size = 50\n")
    line = {"kind": "train", "step": step, "epoch": step / 40, "train_loss": 1.0, "images_per_second": 250.0}
    with (run / "metrics.jsonl").open("w") as file:
        file.write(json.dumps({**line, "step": 1}) + "\n" + json.dumps(line) + "\n")
        file.write(json.dumps({"kind": "evaluation", "step": step, "test_error": 9.0}) + '\n{"kind": "train", "st')


def test_the_states_of_runs(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0, None, 0.0], "b": [91.0, 0.0, 0.0]}, 3)
    running, waiting = folder / "runs/base/seed-2-00000000", folder / "runs/b/seed-1-00000000"
    for run in (running, waiting):
        (run / "result.json").unlink()
        trained(run, 100)
    elsewhere(running, silent_seconds=1)
    elsewhere(waiting, silent_seconds=100)  # its machine is gone
    study = Study.read(folder)
    found = progress(study)
    assert counted(found) == {"done": 3, "failed": 1, "running": 1, "waiting": 1}
    by_run = {(one.run.variant, one.run.seed): one for one in found}
    one = by_run["base", 2]
    assert (one.state, one.step, one.steps, one.images_per_second) == ("running", 100, 400, 250.0)
    assert one.seconds_left == 300 * 50 / 250
    assert by_run["b", 1].state == "waiting"
    told = lines(study, found)
    assert told[0] == "made: 3 done, 1 failed, 1 running, 1 waiting"
    assert "base seed 2: on node7, job 8_1 for " in told[1]
    assert told[1].endswith(", step 100 of 400, 250 images/s, 60 s left")
    assert told[2:] == ["  base seed 1: failed: it <broke> & stopped"]


def test_a_run_of_this_process_runs(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0], "b": [91.0]}, 1)
    run = folder / "runs/b/seed-0-00000000"
    (run / "result.json").unlink()
    with leased(run):
        (one,) = (one for one in progress(Study.read(folder)) if one.state == "running")
        assert one.holder is not None
        write_json(run / "result.json", {"metrics": {"test_accuracy": 1.0}})
    assert counted(progress(Study.read(folder)))["done"] == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"[]\n3\n", b'{"step": -1}\n', b'{"step": "x"}\n', b'{"kind": "x", "step": 1}', b"\xff"],
)
def test_lines_that_tell_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    assert last_line(tmp_path) is None


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_a_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
