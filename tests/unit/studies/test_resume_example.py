"""The example of a program that goes on where it was stopped: stopped or not, its numbers are the same."""

import json
import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "resume"


def trained(monkeypatch: pytest.MonkeyPatch, out: Path, epochs: int) -> float:
    out.mkdir(exist_ok=True)
    monkeypatch.setattr("sys.argv", ["train.py", "--out", str(out), "--seed", "3", "--epochs", str(epochs)])
    runpy.run_path(str(EXAMPLE / "train.py"), run_name="__main__")
    found: dict[str, float] = json.loads((out / "metrics.json").read_text())
    return found["accuracy"]


def test_it_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = trained(monkeypatch, tmp_path / "whole", 4)
    assert not capsys.readouterr().out
    assert trained(monkeypatch, tmp_path / "stopped", 1) != whole
    (tmp_path / "stopped" / "metrics.json").unlink()
    assert trained(monkeypatch, tmp_path / "stopped", 4) == whole
    assert capsys.readouterr().out == "going on after epoch 1\n"
    checkpoints = [(tmp_path / name / "checkpoint.pt").read_bytes() for name in ("whole", "stopped")]
    assert checkpoints[0] == checkpoints[1]
