"""How far a study is, from its folders alone."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.records.test_leases import elsewhere
from tests.unit.report.conftest import make_study
from tests.unit.studies.test_growing import made, run_all

from truelift.cli.status import lines, status
from truelift.cli.watch import watch
from truelift.records import Run, Study, leased, write_json
from truelift.records.progress import run_progress, seen_from_outside
from truelift.report.standing import not_needed

BEGAN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def trained(run: Path, step: int) -> None:
    """Begun at BEGAN, and at this step 20 seconds later."""
    run.mkdir(exist_ok=True)
    write_json(run / "environment.json", {"started": "2026-01-01T00:00:00+00:00", "steps": 400, "from_step": 0})
    line = {"kind": "train", "step": step, "epoch": step / 40, "train_loss": 1.0, "images_per_second": 250.0}
    with (run / "metrics.jsonl").open("w") as file:
        file.write(json.dumps({**line, "step": 1}) + "\n" + json.dumps(line) + "\n")
        file.write(json.dumps({"kind": "evaluation", "step": step, "test_error": 9.0}) + '\n{"kind": "train", "st')
    os.utime(run / "metrics.jsonl", (BEGAN + 20, BEGAN + 20))


def test_the_states_of_runs(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0, None, 0.0], "b": [91.0, 0.0, 0.0]}, 3)
    running, waiting = folder / "runs/base/seed-2-00000000", folder / "runs/b/seed-1-00000000"
    for run in (running, waiting):
        (run / "result.json").unlink()
        trained(run, 100)
    elsewhere(running, silent_seconds=1)
    elsewhere(waiting, silent_seconds=100)  # its machine is gone
    study = Study.read(folder)
    found = seen_from_outside(study.runs, BEGAN + 30)
    assert [found.count(state) for state in ("done", "failed", "running", "waiting")] == [3, 1, 1, 1]
    by_run = {(one.run.variant, one.run.seed): one for one in found.runs}
    one = by_run["base", 2]
    assert (one.state, one.step, one.steps, one.images_per_second) == ("running", 100, 400, 250.0)
    assert one.seconds_left == pytest.approx(50.0)  # 300 steps at 5 a second, of which 10 seconds have passed
    assert (by_run["b", 1].state, by_run["b", 1].step) == ("waiting", 100)
    told = lines(study, found, BEGAN + 30)
    assert told[0].startswith("made: 3 of 6 runs done, 1 failed, 1 running, 1 waiting, about ")
    assert "base seed 2: on node7, job 8_1 for " in told[1]
    assert told[1].endswith(", step 100 of 400, 250 images/s, 50 s left")
    assert told[2:] == ["  base seed 1: failed: it <broke> & stopped"]


def test_a_run_of_this_process_runs(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0], "b": [91.0]}, 1)
    run = folder / "runs/b/seed-0-00000000"
    (run / "result.json").unlink()
    with leased(run):
        (one,) = seen_from_outside(Study.read(folder).runs, BEGAN).of("running")
        assert one.holder is not None
        write_json(run / "result.json", {"metrics": {"test_accuracy": 1.0}})
    assert seen_from_outside(Study.read(folder).runs, BEGAN).count("done") == 2


def test_what_a_decided_study_does_not_need_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = made(tmp_path)
    done = len(run_all(tmp_path, runs)[0])
    assert status(tmp_path, json=True) == 0
    form = json.loads(capsys.readouterr().out)
    assert (form["done"], form["waiting"], form["not_needed"]) == (done, 0, len(runs) - done)
    assert [one["state"] for one in form["runs"]].count("not needed") == len(runs) - done > 0
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits for runs that never come"))
    assert watch(tmp_path) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"s: {done} of {len(runs)} runs done, {len(runs) - done} not needed\n")
    assert "a look before the end" not in out


def test_of_a_study_that_is_not_decided_the_rest_waits(tmp_path: Path) -> None:
    run_all(tmp_path, made(tmp_path), most=4)
    study = Study.read(tmp_path)
    assert not_needed(study) == frozenset()
    assert seen_from_outside(study.runs, BEGAN, not_needed(study)).count("waiting") == 20


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"[]\n3\n", b'{"step": -1}\n', b'{"step": "x"}\n', b'{"kind": "x", "step": 1}', b"\xff"],
)
def test_lines_that_tell_nothing(tmp_path: Path, content: bytes) -> None:
    trained(tmp_path, 1)
    (tmp_path / "metrics.jsonl").write_bytes(content)
    assert run_progress(Run("a", 0, tmp_path)).step is None
