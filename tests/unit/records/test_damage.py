"""Every record of a finished study damaged in every way: one line each, and never a traceback."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.conftest import add_features, make_study

from truelift.cli import main
from truelift.records import Run, Study

RECORDS = ("result.json", "config.toml", "environment.json", "metrics.jsonl", "predictions.npz", "features.npz")
DECIDING = ("result.json", "config.toml")


def _edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _other_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, labels=np.ones((2, 2)), predicted=np.arange(3))


def _another(path: Path) -> None:
    """Another record's content under this name."""
    other = "predictions.npz" if path.name != "predictions.npz" else "environment.json"
    shutil.copyfile(path.parent / other, path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "blank lines": lambda path: path.write_bytes(b"\n \n\n"),
    "cut in the middle": lambda path: _edit(path, lambda content: content[: len(content) // 2]),
    "a byte short": lambda path: _edit(path, lambda content: content[:-2]),
    "bytes turned": lambda path: _edit(path, lambda content: bytes(255 - byte for byte in content)),
    "NaN": lambda path: path.write_text('{"metrics": {"test_accuracy": NaN}, "step": NaN}'),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("3"),
    "other types": lambda path: path.write_text('{"metrics": {"test_accuracy": "x"}, "threads": "x", "step": "x"}'),
    "huge numbers": lambda path: path.write_text(
        '{"metrics": {"test_accuracy": 1e999}, "step": 1e999, "threads": 1e99}'
    ),
    "nested": lambda path: path.write_text('{"metrics": ' + "[" * 100_000),
    "half a character": lambda path: path.write_text('{"metrics": {"\\ud800": 1}, "\\ud800": 1}'),
    "UTF-16": lambda path: path.write_bytes("{}".encode("utf-16")),
    "Latin": lambda path: path.write_bytes(b'{"metrics": {"\xe9": 1}}'),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "another record": _another,
    "other arrays": lambda path: _other_arrays(path),
    "a folder": _folder,
    "a pipe": _pipe,
    "a link to itself": _circle,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_study(tmp_path_factory.mktemp("study") / "made", {"base": [90.0, 91.0], "other": [91.5, 92.5]}, 2)
    for run in Study.read(folder).runs:
        (run.folder / "config.toml").write_text("seed = 0\n")
        add_features(run.folder, gaussians=True, a_class=3)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "made")


def report(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Status, standard output and error of `truelift report`."""
    with pytest.raises(SystemExit) as ended:
        main(["report", str(folder)])
    said = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(said.out.split()), said.err


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_a_sentence_of_the_report(
    study: Path, damage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All records of one run at once for the report, and each alone for its reader."""
    monkeypatch.setattr("truelift.cli.say.write_forms", lambda summary: [summary.folder / "report.html"])
    run = Study.read(study).runs[0]
    for name in RECORDS:
        shutil.copytree(run.folder, kept := study.parent / f"kept-{name}", dirs_exist_ok=True)
        DAMAGES[damage](run.folder / name)
        status, out, err = report(study, capsys)
        assert (status, err) == (0, ""), name
        # "{}" is an environment, and other arrays may be beside the right ones; a record that is not there was not left
        silent = (name == "environment.json" and damage in ("NaN", "half a character")) or damage == "removed"
        silent = silent or (damage in ("blank lines", "empty") and name in ("metrics.jsonl", "config.toml"))
        if not silent:
            assert f"/{name}" in out, (name, out)
        if name == "result.json" or (name == "config.toml" and f"/{name}" in out):
            assert "seed 0 not finished" in out or "not finished" in out, out
        shutil.rmtree(run.folder)
        shutil.copytree(kept, run.folder)
        shutil.rmtree(kept)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_plan_is_one_line(study: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    if damage == "another record":
        shutil.copyfile(Study.read(study).runs[0].folder / "predictions.npz", study / "study.json")
    else:
        DAMAGES[damage](study / "study.json")
    status, out, err = report(study, capsys)
    assert (status, out) == (2, "")
    assert err.startswith(f"truelift: error: {study if damage == 'removed' else study / 'study.json'}")
    assert "study.json" in err
    assert err.count("\n") == 1


def test_damage_is_told_in_every_form(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Study.read(study).runs[0]
    (run.folder / "metrics.jsonl").write_text("no line\nnone either\n")
    (run.folder / "config.toml").write_text("= x")
    _, out, _ = report(study, capsys)
    assert "note: runs/base/seed-0-00000000/config.toml cannot be read as TOML" in out
    assert "The run counts as not finished." in out
    other = Study.read(study).runs[1]
    (other.folder / "predictions.npz").write_text("mine")
    _, out, _ = report(study, capsys)
    for form in ("html", "md", "csv", "tex"):
        text = (study / f"report.{form}").read_text()
        assert "config.toml cannot be read as TOML" in text, form
        assert "runs/base/seed-1-00000000/predictions.npz cannot be read: it is no npz file." in text, form
    assert str(study) not in (study / "report.md").read_text()  # the same where the study was moved to


def test_notes_of_many_runs_do_not_flood_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_study(tmp_path / "many", {"base": [90.0] * 15, "other": [91.0] * 15}, 15)
    for run in Study.read(folder).runs:
        (run.folder / "environment.json").write_text("[]")
    _, out, _ = report(folder, capsys)
    assert out.count("note: runs/") == 20
    assert "note: 10 more are in the report." in out
    assert (folder / "report.md").read_text().count("environment.json is damaged") == 30


def test_another_runs_result_is_not_taken(study: Path) -> None:
    plan = json.loads((study / "study.json").read_text())
    for number, entry in enumerate(plan["runs"]):
        moved = entry["folder"][:-8] + f"{number:08x}"
        (study / entry["folder"]).rename(study / moved)
        result = json.loads((study / moved / "result.json").read_text())
        (study / moved / "result.json").write_text(json.dumps({**result, "fingerprint": f"{number:08x}"}))
        entry["folder"] = moved
    (study / "study.json").write_text(json.dumps(plan))
    assert {run.status for run in Study.read(study).runs} == {"done"}
    first, second, *_ = Study.read(study).runs
    shutil.copyfile(second.folder / "result.json", first.folder / "result.json")
    assert first.status == "unfinished"
    assert "is the result of another run, 00000001" in first.notes[0]
    # A program's result has its seed; one of version 0.1 in a folder of another name counts.
    (second.folder / "result.json").write_text('{"metrics": {"a": 1}, "seed": 0}')
    assert second.status == "unfinished"
    (first.folder / "result.json").write_text('{"metrics": {"a": 1}, "fingerprint": "01234567"}')
    assert Study.read(study).runs[0].status == "done"


def test_a_lost_config_is_told_where_others_have_one(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (Study.read(study).runs[0].folder / "config.toml").unlink()
    _, out, _ = report(study, capsys)
    assert "note: base: there is no config.toml of seed 0" in out
    for run in Study.read(study).runs:
        (run.folder / "config.toml").unlink(missing_ok=True)
    _, out, _ = report(study, capsys)
    assert "note:" not in out


def test_metrics_that_were_left_out_are_told(study: Path) -> None:
    run = Study.read(study).runs[0]
    (run.folder / "result.json").write_text('{"metrics": {"test_accuracy": 1}, "left_out": ["a", "b"]}')
    assert Run("base", 0, run.folder).status == "done"
    assert run.status == "done"
    assert run.notes == (f"{run.folder / 'metrics.json'}: left out, being no finite numbers: a, b.",)
