"""Every form shows each guard of each variant, whether or not it decides."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.unit.report.conftest import make_study, write_report

from truelift.records import Study, read_json, write_json
from truelift.report import print_summary, summarise
from truelift.report.guarded import HEADER, cells
from truelift.report.json_form import report_form
from truelift.report.notebook import notebook_html

WORSE = {"held": 1.034, "beyond": 1.25, "between": 1.09}
"""Times of the baseline's seconds."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nothing differs in accuracy, so that no guard decides but the one that is broken."""
    noise = [0.1, -0.2, 0.15, 0.0, -0.05]
    base: list[float | None] = [90.0, 91.0, 92.0, 91.0, 90.0]
    values = {name: [x + e for x, e in zip(base, noise, strict=True) if x is not None] for name in WORSE}
    guards = {"train_seconds": {"limit": 10.0, "unit": "percent of baseline", "higher_is_better": False}}
    guards["train_seconds"]["relative"] = True
    made = make_study(tmp_path / "made", {"base": base, **values, "lost": [None] * 5}, 5, guards=guards)
    for name, times in WORSE.items():
        for seed, jitter in enumerate(noise):
            path = made / f"runs/{name}/seed-{seed}-00000000/result.json"
            metrics = read_json(path)["metrics"] | {"train_seconds": times * (10 + seed) * (1 + jitter / 10)}
            write_json(path, {"metrics": metrics})
    return made


def test_the_states(folder: Path) -> None:
    rows = cells(summarise(Study.read(folder)).rows)
    assert [row[:3] for row in rows] == [
        ("held", "train seconds", "held"),
        ("beyond", "train seconds", "broken"),
        ("between", "train seconds", "open"),
        ("lost", "train seconds", "open"),
    ]
    assert [row[5] for row in rows] == ["10 %"] * 4
    assert rows[0][3] == "+3.4 %"
    assert rows[3][3:5] == ("–", "–")


def test_every_form_has_them(folder: Path) -> None:
    summary = summarise(Study.read(folder))
    page, markdown, csv_file, latex = (path.read_text() for path in write_report(folder))
    console = Console(record=True, width=80)
    print_summary(summary, console)
    printed = console.export_text()
    assert "| held | train seconds | held | +3.4 % |" in markdown
    assert max(map(len, printed.splitlines())) <= 80
    for cell in HEADER:
        assert f">{cell}</th>" in page
        assert cell in printed
    for name, *found in cells(summary.rows):
        line = next(line for line in printed.splitlines() if line.split()[:3] == [name, "train", "seconds"])
        assert [cell for cell in found if cell not in line] == []
        row = latex[latex.index(f"    {name} & ") :].split(r" \\")[0]
        assert found[1] in row
        assert f">{found[1]}</td>" in notebook_html(summary)
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(csv_file)) if row["metric"] == "test_accuracy"}
    assert {name: row["guard_1_state"] for name, row in rows.items()} == {
        "base": "", "held": "held", "beyond": "broken", "between": "open", "lost": "open",
    }  # fmt: skip
    form = {one.name: one for one in report_form(summary).variants}
    assert [guard.state for name in WORSE for guard in form[name].guards] == ["held", "broken", "open"]


def test_a_study_without_guards_shows_none(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0, 91.0, 92.0], "other": [90.1, 91.0, 92.2]}, 3)
    page, markdown, _, _ = (path.read_text() for path in write_report(folder))
    assert "worse by" not in page + markdown + notebook_html(summarise(Study.read(folder)))
