"""The index of all studies: the verdicts of their reports, from the records alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.errors import InputError
from truelift.records import Study
from truelift.report import summarise
from truelift.report.all_studies import overviews, write_index


def test_each_study_is_a_line_with_its_reports_verdicts(tmp_path: Path) -> None:
    old = make_study(tmp_path / "old", dict(ACCURACY), 5, question="<b>old</b>?")
    make_study(tmp_path / "deeper/new one", dict(ACCURACY), 3, created="2027-01-01T00:00:00+00:00")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/study.json").write_text("{")
    (tmp_path / "other").mkdir()
    (old / "report.html").write_text("")
    found = overviews(tmp_path)
    assert [one.name for one in found] == ["deeper/new one", "old", "damaged"]
    summary = summarise(Study.read(old))
    assert list(found[1].verdicts) == [(name, headline.verdict) for name, headline in summary.headlines.items()]
    assert found[1].answer == summary.answer
    assert (found[1].seeds, found[1].runs, found[1].link, found[0].link) == (5, "15 of 15", "old/report.html", None)
    assert "cannot be read as JSON" in found[2].problem
    path, count = write_index(tmp_path)
    page = path.read_text()
    assert (path, count) == (tmp_path / "index.html", 3)
    assert '<a href="old/report.html">&lt;b&gt;old&lt;/b&gt;?</a>' in page
    assert page.count("<script") == 1
    assert write_index(tmp_path)[1] == 3  # its own page is written over


def test_a_study_until_decided_is_judged_as_its_report_is(tmp_path: Path) -> None:
    looks = {"max_seeds": 5, "looks": [3, 5], "alpha": 0.05}
    folder = make_study(tmp_path / "one", dict(ACCURACY), 5, until_decided=looks)
    summary = summarise(Study.read(folder))
    (found,) = overviews(tmp_path)
    assert dict(found.verdicts) == {name: headline.verdict for name, headline in summary.headlines.items()}


def test_what_is_not_ours_is_not_written_over(tmp_path: Path) -> None:
    make_study(tmp_path / "one", dict(ACCURACY), 3)
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(InputError, match=r"index\.html is not written over"):
        write_index(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_a_folder_without_studies_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no study below it"):
        write_index(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        write_index(tmp_path / "none")


def test_it_waits_for_no_torch(tmp_path: Path) -> None:
    make_study(tmp_path / "one", dict(ACCURACY), 3)
    code = (
        "import sys\nfrom truelift.cli import main\n"
        f"try: main(['report', '--all', {str(tmp_path)!r}])\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"1 study: {tmp_path / 'index.html'}\n"
