"""What a tracker is told of real trainings of seconds, and that none can stop or change one."""

import importlib.util
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.errors import InputError
from truelift.trackers import Careful, Tracked, careful, check_tracker
from truelift.training import Experiment, fingerprint, identity, resolve, run
from truelift.training.settings import parse_experiment
from truelift.training.tracking import tracked

OWN = """
import json, pathlib, sys

class Tracker:
    def __init__(self, run):
        self.path = run.home / "told.jsonl"
        self.tell(run=[run.study, run.variant, run.seed, run.from_step], config=run.config)

    def tell(self, **what):
        with self.path.open("a") as file:
            file.write(json.dumps(what) + "\\n")

    def log(self, numbers, step):
        self.tell(numbers=dict(numbers), step=step)

    def end(self, outcome):
        self.tell(outcome=outcome)

class Start(Tracker):
    def __init__(self, run):
        raise RuntimeError("no network\\nat all")

class Log(Tracker):
    def log(self, numbers, step):
        if step > 10:
            raise RuntimeError("no network")
        super().log(numbers, step)

class Exit(Tracker):
    def log(self, numbers, step):
        sys.exit(7)

class End(Tracker):
    def end(self, outcome):
        raise RuntimeError("no network")

number = 3
"""


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 320, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", **settings}, "test"))


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return str(tmp_path / "own.py")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_all_is_told_and_nothing_changes(own: str, tmp_path: Path) -> None:
    plain = run(small(), tmp_path / "plain", reporter=silent)
    with_it = small(tracker=f"{own}:Tracker")
    assert fingerprint(identity(with_it)) == fingerprint(identity(small()))
    result = run(with_it, tmp_path / "tracked", reporter=silent)
    one, other = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("plain", "tracked"))
    assert all(torch.equal(tensor, other["network"][name]) for name, tensor in one["network"].items())
    assert result["metrics"]["test_accuracy"] == plain["metrics"]["test_accuracy"]

    first, *numbers, last = told(tmp_path / "tracked")
    assert first["run"] == ["train", "resnet8-digits", 0, 0]
    settings = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 320, "batch_size": 32}
    of_run = {**settings, "precision": "fp32", "variant": "resnet8-digits", "seed": 0, "study": "train"}
    assert of_run.items() <= first["config"].items()
    *curves, end = numbers
    expected = [
        {"numbers": {k: float(v) for k, v in line.items() if k not in ("kind", "step")}, "step": line["step"]}
        for line in lines(tmp_path / "tracked")
    ]
    assert curves == expected
    assert end["step"] == result["steps"]
    shown: dict[str, float] = {}
    for curve in numbers:
        shown |= curve["numbers"]
    assert result["metrics"].keys() <= shown.keys()
    assert shown["test_accuracy"] == result["metrics"]["test_accuracy"]
    assert shown["cpu_seconds"] == result["metrics"]["cpu_seconds"]
    assert last == {"outcome": "done"}


class StopError(Exception):
    pass


@pytest.mark.parametrize(("error", "outcome"), [(StopError, "failed"), (KeyboardInterrupt, "stopped")])
def test_a_run_that_goes_on(own: str, tmp_path: Path, error: type[BaseException], outcome: str) -> None:
    experiment = small(tracker=f"{own}:Tracker")

    def stop(line: dict[str, Any], steps: int) -> None:
        if line["step"] == 14:
            raise error

    with pytest.raises(error):
        run(experiment, tmp_path / "run", reporter=stop, checkpoint_seconds=0)
    assert told(tmp_path / "run")[-1] == {"outcome": outcome}
    run(experiment, tmp_path / "run", reporter=silent, checkpoint_seconds=0)
    again = [line["run"] for line in told(tmp_path / "run") if "run" in line]
    assert [begun[3] for begun in again] == [0, 13]
    steps = {line["step"]: line["numbers"] for line in told(tmp_path / "run") if "step" in line}
    assert set(steps) == {line["step"] for line in lines(tmp_path / "run")}


def test_a_study_is_found_by_where_a_run_lies(tmp_path: Path) -> None:
    experiment, study = small(seed=4), tmp_path / "my-study"
    folder = study / "runs" / "no-relu" / "seed-4-12345678"
    assert tracked(experiment, folder, 7).home == folder
    study.mkdir()
    (study / "study.json").write_text("{}")
    found = tracked(experiment, folder, 7)
    assert (found.study, found.variant, found.seed, found.from_step) == ("my-study", "no-relu", 4, 7)
    assert (found.home, found.folder, found.name) == (study, folder, "no-relu/seed-4")
    assert "seed" not in found.settings


@pytest.mark.parametrize("moment", ["Start", "Log", "End"])
def test_a_tracker_that_fails_is_told_once_and_stops_nothing(
    own: str, moment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(small(tracker=f"{own}:{moment}"), tmp_path / "run", reporter=silent)
    assert result["steps"] == 18
    warnings = [line for line in capsys.readouterr().err.splitlines() if "tracker" in line]
    reason = "no network at all" if moment == "Start" else "no network"
    assert warnings == [
        f"truelift: tracker {own}:{moment} has failed and is told no more: RuntimeError: {reason}. The training goes "
        "on, and its records are whole."
    ]
    if moment == "Log":
        assert [line["step"] for line in told(tmp_path / "run") if "step" in line][-1] == 10


def test_a_tracker_that_would_end_the_process_does_not(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(small(tracker=f"{own}:Exit"), tmp_path / "run", reporter=silent)["steps"] == 18
    assert "has failed and is told no more: SystemExit: 7. The training goes on" in capsys.readouterr().err


def test_a_tracker_beside_the_study_file_is_found_and_means_the_same_everywhere(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    parsed = parse_experiment({"tracker": "own.py:Tracker"}, "test")
    assert resolve(parsed, tmp_path).tracker == f"{own}:Tracker"
    with pytest.raises(InputError, match=r'tracker "own.py:Tracker": there is no file own\.py'):
        resolve(parsed)


def test_who_has_waited_for_long_begins_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(careful, "_WAIT_SECONDS", 0.1)
    started: list[Tracked] = []

    def first(run: Tracked) -> Any:
        Careful("second", started.append, Tracked("s", "v", 2, {}, "f", tmp_path, tmp_path, 0))  # type: ignore[arg-type]
        started.append(run)

    for _ in range(2):  # the lock is not left behind
        Careful("first", first, Tracked("s", "v", 1, {}, "f", tmp_path, tmp_path, 0))
    assert [run.seed for run in started] == [2, 1, 2, 1]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio", "mlflow"])
def test_a_missing_package_is_told_before_anything_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, *rest: None if wanted == name else find(wanted))
    with pytest.raises(InputError) as raised:
        small(tracker=name)
    assert str(raised.value) == f"tracker {name} needs a package that is not installed: pip install {name}"


def test_bad_names(own: str) -> None:
    with pytest.raises(InputError, match=r"unknown tracker \"tensorbord\"\. Did you mean .*tensorboard"):
        small(tracker="tensorbord")
    with pytest.raises(InputError, match="must name something that can be called, got int"):
        small(tracker=f"{own}:number")
    assert check_tracker("none") is None


def test_none_does_nothing() -> None:
    run_ = Tracked("s", "v", 0, {}, "f", Path("/"), Path("/"), 0)
    tracker = Careful("none", None, run_)
    tracker.line({"kind": "train", "step": 1, "train_loss": 1})
    tracker.result({"test_accuracy": 1.0}, 1)
    tracker.end("done")


def test_no_user_waits_for_another_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of temporary files is for all, and another user's file in it may be nobody's to open."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started: list[Tracked] = []
    start: Any = started.append  # a tracker that is nothing
    for user in (1001, 1002):
        monkeypatch.setattr(os, "getuid", lambda user=user: user, raising=False)
        Careful("own", start, Tracked("s", "v", user, {}, "f", tmp_path, tmp_path, 0))
    assert [run.seed for run in started] == [1001, 1002]
    assert len(list(tmp_path.iterdir())) == 2
    assert capsys.readouterr().err == ""


def test_numbers_that_are_none_are_left_out() -> None:
    class Kept:
        def __init__(self) -> None:
            self.told: list[tuple[Mapping[str, float], int]] = []

        def log(self, numbers: Mapping[str, float], step: int) -> None:
            self.told.append((numbers, step))

        def end(self, outcome: str) -> None:
            pass

    kept = Kept()
    tracker = Careful("own", lambda run: kept, Tracked("s", "v", 0, {}, "f", Path("/"), Path("/"), 0))
    tracker.line({"kind": "train", "step": 3, "loss": 1, "on": True, "nothing": None})
    tracker.result({"loss": 2.0, "seconds": 4}, 5)  # the curve has it
    assert kept.told == [({"loss": 1.0}, 3), ({"seconds": 4.0}, 5)]
