"""A run as the report sees it: what is required, and what may be missing or somebody else's."""

import json
from pathlib import Path

import pytest
import tomli_w
from tests.unit.report.conftest import make_study

from truelift.errors import InputError
from truelift.records import Run, Study, log_tail, write_json
from truelift.studies.executors.base import has_ended


def test_a_status_is_read_once(tmp_path: Path) -> None:
    run, later = Run("a", 0, tmp_path), Run("a", 0, tmp_path)
    assert run.status == "unfinished"
    write_json(tmp_path / "failure.json", {"reason": "x"})
    assert run.status == "unfinished"
    assert later.status == "failed"
    write_json(tmp_path / "result.json", {"metrics": {}})
    assert later.status == "failed"
    assert Run("a", 0, tmp_path).status == "done"
    assert run == later


def test_a_failure_always_has_a_reason(tmp_path: Path) -> None:
    run = Run("a", 0, tmp_path)
    assert "started again" in run.failure()["reason"]
    (tmp_path / "failure.json").write_text("[]")
    assert run.failure()["reason"].startswith(f"{tmp_path / 'failure.json'} is damaged: Expected `object`")
    write_json(tmp_path / "failure.json", {"reason": "it\nbroke"})
    assert run.failure() == {"reason": "it broke", "diverged": False}


def test_a_result_is_required(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Run("a", 0, tmp_path).result()


def test_stray_files_are_notes(tmp_path: Path) -> None:
    """A user's program may leave files of the same names; what is not there is no note."""
    study = Study.read(make_study(tmp_path / "made", {"base": [90.0, 91.0]}, 2))
    stray, ordinary = study.runs
    for name in ("environment.json", "metrics.jsonl", "predictions.npz", "features.npz"):
        (stray.folder / name).write_text("my own\n\n")
    for run in study.runs:
        run.environment(), run.metrics(), run.curves(["train_loss"]), run.predictions(), run.features()
    assert (stray.environment(), stray.metrics(), stray.predictions(), stray.features()) == ({}, [], None, None)
    assert ordinary.notes == ()
    assert len(ordinary.metrics()) == 402
    assert len(ordinary.curves(["train_loss", "test_error"])["test_error"].steps) == 2
    assert ordinary.predictions() is not None
    assert study.notes == stray.notes
    assert len(stray.notes) == 4  # one a file, however often it is read
    assert all("\n" not in note and note.startswith(str(stray.folder)) and note.endswith(".") for note in stray.notes)
    lines = next(note for note in stray.notes if "jsonl" in note)
    assert lines.endswith("metrics.jsonl: 1 line is no line of metrics and left out.")
    assert stray.result()["metrics"]["test_accuracy"] == 90.0


def test_bad_lines_are_counted_in_a_note(tmp_path: Path) -> None:
    good = json.dumps({"kind": "train", "step": 1, "x": 2.0})
    (tmp_path / "metrics.jsonl").write_text(f'{good}\n[]\n\nnone\n{good}\n{{"kin')
    run = Run("a", 0, tmp_path)
    assert run.metrics() == [json.loads(good)] * 2
    assert run.notes[0].endswith("metrics.jsonl: 2 lines are no lines of metrics and left out.")
    (tmp_path / "metrics.jsonl").write_text(f"{good}\n")
    assert len(run.metrics()) == 1
    assert run.notes == ()


def test_the_end_of_a_log(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ()
    (tmp_path / "log.txt").write_bytes(b"one\n\n \x1b[2Jtwo \xff\r\n" + b"x" * 1000 + b"\n")
    assert log_tail(tmp_path, 2)[0] == " two �"
    assert len(log_tail(tmp_path, 1)[0]) == 401
    assert log_tail(tmp_path, 9)[0] == "one"
    (tmp_path / "log.txt").write_bytes(b"a line of a long log\n" * 10**5 + b"the last")
    assert log_tail(tmp_path, 2) == ("a line of a long log", "the last")
    assert len(log_tail(tmp_path, 10**9)) < 10**4
    (tmp_path / "log.txt").unlink()
    (tmp_path / "log.txt").mkdir()
    assert log_tail(tmp_path) == ()


OWN = {"command": "./p {seed} {out}", "args": "", "seed": 0}


@pytest.mark.parametrize("more", [{}, {**OWN, "args": "--other"}, {"finished": "2026-11-27T00:00:00+00:00"}])
def test_what_a_program_writes_under_the_name_of_a_result_is_none(tmp_path: Path, more: dict[str, object]) -> None:
    (tmp_path / "config.toml").write_text(tomli_w.dumps({**OWN, "timeout": 5.0}))
    write_json(tmp_path / "result.json", {"metrics": {"a": 1.0}, **more})
    run = Run("a", 0, tmp_path)
    assert run.status == "unfinished"
    assert "the program has written a file of that name" in run.notes[0]
    assert not has_ended(tmp_path)
    write_json(tmp_path / "result.json", {"metrics": {"a": 1.0}, **OWN})  # as version 0.1 wrote it
    assert Run("a", 0, tmp_path).status == "done"
    assert has_ended(tmp_path)


def test_what_a_program_writes_need_not_be_a_result_at_all(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(tomli_w.dumps(OWN))
    write_json(tmp_path / "result.json", {"epoch": 3})
    assert not has_ended(tmp_path)
    write_json(tmp_path / "failure.json", {"reason": "it stopped"})
    assert has_ended(tmp_path)
