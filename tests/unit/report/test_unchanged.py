"""A page that shows the same numbers already is left as it is, and any other is made again."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.report.conftest import write_report

from truelift.records import read_json, write_json


def state(study: Path) -> tuple[int, str]:
    page = study / "report.html"
    return page.stat().st_ino, page.read_text()


def test_the_same_numbers_leave_the_page_as_it_is(study: Path) -> None:
    write_report(study)
    before = state(study)
    (study / "report.md").write_text("by hand")
    write_report(study)
    assert state(study) == before
    assert (study / "report.md").read_text() != "by hand"


def test_the_other_files_are_left_where_nothing_changes(study: Path) -> None:
    def found() -> list[int]:
        return [(study / name).stat().st_ino for name in ("report.md", "report.csv", "report.tex", "report-runs.csv")]

    write_report(study)
    before = found()
    write_report(study)
    assert found() == before


def test_another_process_finds_it_unchanged_and_draws_nothing(study: Path) -> None:
    write_report(study)
    before = state(study)
    again = (
        "import sys; from pathlib import Path; from truelift.records import Study; from truelift.report import *;"
        "write_forms(summarise(Study.read(Path(sys.argv[1])))); needless = {'matplotlib', 'numpy.ma', 'numpy.f2py'};"
        "assert not needless & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", again, str(study)], check=True)
    assert state(study) == before


@pytest.mark.parametrize("change", ["another result", "edited", "cut off", "no text", "not there"])
def test_any_other_is_made_again(study: Path, change: str) -> None:
    write_report(study)
    _, first = state(study)
    page = study / "report.html"
    if change == "another result":
        result = next(study.glob("runs/better/*/result.json"))
        content = read_json(result)
        content["metrics"]["test_accuracy"] += 1.0
        write_json(result, content)
    elif change == "edited":
        page.write_text(first.replace("helps", "hurts"))
    elif change == "cut off":
        page.write_text(first[: len(first) // 2])
    elif change == "no text":
        page.write_bytes(b"\xff\xfe")
    else:
        page.unlink()
    write_report(study)
    assert (state(study)[1] == first) == (change != "another result")
    assert "helps" in state(study)[1]
