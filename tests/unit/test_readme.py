"""What the README says is true: its files are read, its program runs, its commands and links exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from truelift.cli import app, prepared
from truelift.studies.plan import read_plan

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OVERVIEW = (ROOT / "docs/overview.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language == kind]


def test_the_studies_are_planned(tmp_path: Path) -> None:
    photographs, programs, parts = blocks("toml")
    (tmp_path / "study.toml").write_text(photographs)
    (tmp_path / "penalties.toml").write_text(programs)
    assert [v.name for v in read_plan(tmp_path / "study.toml").variants] == ["paper", "no-last-relu"]
    assert len(read_plan(tmp_path / "study.toml").runs()) == 10  # "ten trainings"
    assert read_plan(tmp_path / "penalties.toml").metric.name == "val_accuracy"
    assert "[variants.nadam]" in parts


def test_the_program_runs(tmp_path: Path) -> None:
    (program,) = blocks("python")
    (tmp_path / "my_train.py").write_text(program)
    arguments = ["--seed", "0", "--out", str(tmp_path), "--penalty", "l1"]
    subprocess.run([sys.executable, str(tmp_path / "my_train.py"), *arguments], check=True, timeout=120)
    assert 80 < json.loads((tmp_path / "metrics.json").read_text())["val_accuracy"] <= 100


def test_the_table_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (table,) = blocks("csv")
    (tmp_path / "results.csv").write_text(table)
    monkeypatch.chdir(tmp_path)
    (line,) = (line for line in README.splitlines() if line.startswith("truelift judge"))
    command, bound, _ = app.parse_args(line.split()[1:], exit_on_error=False, print_error=False)
    assert command(*bound.args, **bound.kwargs) == 0
    assert "helps · mixup" in capsys.readouterr().out


def test_every_command_is_understood() -> None:
    lines = [line for text in blocks("") for line in text.splitlines() if line.startswith("truelift ")]
    inline = [found for found in re.findall(r"`(truelift [^`…]*)`", README + OVERVIEW) if "--serve" not in found]
    assert len(lines) >= 5
    for line in (*lines, *inline):
        app.parse_args(prepared(line.partition(" #")[0].split()[1:]), exit_on_error=False, print_error=False)


@pytest.mark.parametrize(("folder", "text"), [(ROOT, README), (ROOT / "docs", OVERVIEW)])
def test_every_link_leads_somewhere(folder: Path, text: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 5
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/report.png").stat().st_size <= 150_000
