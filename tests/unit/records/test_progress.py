"""How far a study is, told from records."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from truelift.records import Run, write_json
from truelift.records.progress import RunProgress, StudyProgress, _left, run_progress, study_progress

BEGAN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def begin(folder: Path, *, steps: int = 1000, from_step: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "environment.json",
        {"started": "2026-01-01T00:00:00+00:00", "steps": steps, "from_step": from_step},
    )


def line(folder: Path, step: int, at: float, kind: str = "train", speed: float = 50.0) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": kind, "step": step, "images_per_second": speed}) + "\n")
    os.utime(folder / "metrics.jsonl", (at, at))


def running(folder: Path, now: float) -> RunProgress:
    runs = [Run("a", 0, folder)]
    return study_progress(runs, running=[folder], jobs=1, ended={}, now=now).runs[0]


def test_time_left_goes_by_the_steps_of_this_go(tmp_path: Path) -> None:
    begin(tmp_path, from_step=200)
    line(tmp_path, 100, BEGAN - 5000)
    line(tmp_path, 400, BEGAN + 100)
    line(tmp_path, 400, BEGAN + 100, kind="evaluation", speed=1.0)
    seen = running(tmp_path, BEGAN + 130)
    # 200 steps in 100 s: 600 more take 300 s, of which 30 have passed.
    assert (seen.state, seen.step, seen.steps, seen.images_per_second) == ("running", 400, 1000, 50.0)
    assert seen.seconds_left == pytest.approx(270.0)
    assert seen.seconds == pytest.approx(130.0)


def test_what_is_not_known_is_none(tmp_path: Path) -> None:
    run = Run("a", 0, tmp_path / "r")
    assert run_progress(run) == RunProgress(run, "waiting")
    assert running(tmp_path / "r", BEGAN).seconds_left is None
    begin(tmp_path / "r")
    (tmp_path / "r" / "metrics.jsonl").write_bytes(b'{"step": "x"}\n[]\n\xff\n{"step": 5, "kind": "tra')
    assert running(tmp_path / "r", BEGAN + 1).step is None
    (tmp_path / "r" / "metrics.jsonl").unlink()
    line(tmp_path / "r", 900, BEGAN - 10)  # of a go before, which was not yet cut
    assert running(tmp_path / "r", BEGAN + 1).seconds_left is None


def test_states(tmp_path: Path) -> None:
    done, failed, stopped = (tmp_path / name for name in ("done", "failed", "stopped"))
    for folder in (done, failed, stopped):
        begin(folder)
        line(folder, 500, BEGAN + 10)
    write_json(done / "result.json", {"metrics": {"train_seconds": 20.0}, "evaluation_seconds": 4.0})
    write_json(failed / "failure.json", {"reason": "x"})
    states = [run_progress(Run("a", 0, folder)) for folder in (done, failed, stopped)]
    assert [run.state for run in states] == ["done", "failed", "waiting"]
    assert states[0].seconds == 24.0
    assert states[1].reason == "x"
    assert (states[2].step, states[2].steps) == (500, 1000)


def test_a_long_file_is_read_at_its_end(tmp_path: Path) -> None:
    begin(tmp_path, steps=10**6)
    with (tmp_path / "metrics.jsonl").open("w") as file:
        for step in range(200_000):
            file.write(json.dumps({"kind": "train", "step": step, "images_per_second": 1.5}) + "\n")
    os.utime(tmp_path / "metrics.jsonl", (BEGAN + 60, BEGAN + 60))
    assert running(tmp_path, BEGAN + 60).step == 199_999


def run(state: str, variant: str = "a", **known: float) -> RunProgress:
    return RunProgress(Run(variant, 0, Path(variant)), state, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "jobs", "seconds"),
    [
        ([run("waiting")], 1, None),
        ([run("done", seconds=10.0), run("waiting"), run("waiting")], 1, 20.0),
        ([run("done", seconds=10.0), run("waiting"), run("waiting"), run("waiting")], 2, 20.0),
        ([run("done", seconds=10.0), run("running", seconds_left=4.0, step=6, steps=10), run("waiting")], 1, 14.0),
        ([run("done", seconds=10.0), run("running", seconds_left=4.0, step=6, steps=10), run("waiting")], 2, 10.0),
        ([run("done", seconds=10.0), run("waiting", step=5, steps=10)], 1, 5.0),
        ([run("done", seconds=10.0), run("waiting", "b")], 1, 10.0),
        ([run("done", seconds=10.0), run("done", "b", seconds=30.0), run("waiting", "b")], 1, 30.0),
        ([run("running", seconds_left=30.0, step=5, steps=20), run("waiting")], 1, 70.0),
        ([run("done", seconds=10.0), run("failed")], 1, 0.0),
    ],
)
def test_the_whole(runs: list[RunProgress], jobs: int, seconds: float | None) -> None:
    assert _left(runs, jobs) == (None if seconds is None else pytest.approx(seconds))


def test_what_has_ended_is_not_read_again(tmp_path: Path) -> None:
    begin(tmp_path / "r")
    write_json(tmp_path / "r" / "result.json", {"metrics": {"train_seconds": 20.0}})
    runs, ended = [Run("a", 0, tmp_path / "r")], {}  # type: ignore[var-annotated]
    first = study_progress(runs, running=[], jobs=1, ended=ended, now=BEGAN)
    (tmp_path / "r" / "result.json").unlink()
    assert study_progress(runs, running=[], jobs=1, ended=ended, now=BEGAN) == first
    assert isinstance(first, StudyProgress)
    assert first.count("done") == 1
