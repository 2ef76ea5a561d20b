"""What the README claims beside what is tested of every page: its numbers, how its table is judged, its picture."""

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from truelift.cli import app
from truelift.studies.study_file import read_plan

README = ROOT / "README.md"


def texts(language: str) -> list[str]:
    return [block.text for block in blocks(README) if block.language == language]


def test_the_studies_are_what_it_says(tmp_path: Path) -> None:
    photographs, programs, parts = texts("toml")
    (tmp_path / "study.toml").write_text(photographs)
    (tmp_path / "penalties.toml").write_text(programs)
    assert [v.name for v in read_plan(tmp_path / "study.toml").variants] == ["paper", "no-last-relu"]
    assert len(read_plan(tmp_path / "study.toml").runs()) == 10  # "ten trainings"
    assert read_plan(tmp_path / "penalties.toml").metric.name == "val_accuracy"
    assert "[variants.nadam]" in parts


def test_the_table_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (table,) = texts("csv")
    (tmp_path / "results.csv").write_text(table)
    monkeypatch.chdir(tmp_path)
    (line,) = (line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("truelift judge"))
    command, bound, _ = app.parse_args(line.split()[1:], exit_on_error=False, print_error=False)
    assert command(*bound.args, **bound.kwargs) == 0
    assert "helps · mixup" in capsys.readouterr().out


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/report.png").stat().st_size <= 150_000
