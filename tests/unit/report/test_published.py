"""The table of published figures, in every form of the report."""

import csv
import io
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.unit.report.conftest import ACCURACY, make_study, write_report

from truelift.records import Study
from truelift.report import print_summary, summarise
from truelift.report.published import cells, legend
from truelift.report.summary import Summary


def figure(value: float, source: str = "A & B", runs: int = 1, sd: float | None = None) -> dict[str, Any]:
    return {"value": value, "source": source, "runs": runs, "sd": sd}


# base: 90, 91, 92, 91, 90 have mean 90.8 and standard deviation sqrt(2.8/4) = 0.836660; t_{4, 0.975} = 2.776445, so one
# further run lies within 2.776445 · 0.836660 · sqrt(1 + 1/5) = 2.544651.
PUBLISHED = {
    "base": [figure(93.3), figure(93.4, "C")],
    "better": [figure(91.5, runs=5, sd=0.2)],
}


def study(folder: Path, accuracy: dict[str, Any] = ACCURACY, seeds: int = 5, **plan: Any) -> Path:
    return make_study(folder / "made", dict(accuracy), seeds, **{"published": PUBLISHED, "changed": [], **plan})


def shown(summary: Summary) -> list[tuple[str, ...]]:
    return cells(summary.published, summary.rows)


def test_a_single_run_and_a_mean_are_judged_by_hand(tmp_path: Path) -> None:
    inside, outside, mean = summarise(Study.read(study(tmp_path))).published
    assert inside.found.interval == pytest.approx((90.8 - 2.544651, 90.8 + 2.544651), abs=1e-5)
    assert inside.found.difference == pytest.approx(-2.5)
    assert [one.found.agreement for one in (inside, outside, mean)] == ["agrees", "differs", "differs"]
    # Welch: 92.82 against 91.5 with standard errors of 0.857/√5 and 0.2/√5, 4.4 degrees.
    se = (statistics.variance(ACCURACY["better"]) / 5 + 0.2**2 / 5) ** 0.5
    assert mean.found.interval is not None
    assert (mean.found.interval[1] - 92.82) / se == pytest.approx(2.67, abs=0.02)


def test_every_form_has_the_table(tmp_path: Path) -> None:
    folder = study(tmp_path)
    page, text, lines, latex = (path.read_text() for path in write_report(folder))
    assert page.index("<h2>The table</h2>") < page.index("<h2>Published figures</h2>")
    assert (
        "<td>A &amp; B</td><td>93.3</td><td>90.80 ± 0.84 (5)</td><td>−2.50</td><td>88.26 to 93.34</td><td>agrees"
        in page
    )
    assert "| base | C | 93.4 | 90.80 ± 0.84 (5) | -2.60 | 88.26 to 93.34 | differs |" in text
    assert r"better & A \& B & 91.5 $\pm$ 0.2 (5) & " in latex
    rows = {(row["metric"], row["variant"]): row for row in csv.DictReader(io.StringIO(lines))}
    row = rows["test_accuracy", "base"]
    assert (row["published_1"], row["published_2_source"], row["published_2_agreement"]) == ("93.3", "C", "differs")
    assert float(row["published_1_high"]) == pytest.approx(93.344651)
    assert (rows["test_accuracy", "better"]["published_1_sd"], rows["test_accuracy", "better"]["published_2"]) == (
        "0.2",
        "",
    )
    assert rows["test_error", "base"]["published_1"] == ""
    console = Console(file=io.StringIO(), width=80)
    print_summary(summarise(Study.read(folder)), console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue().splitlines()
    assert any(line.split() == ["base", "C", "93.4", "90.80", "±", "0.84", "(5)", "differs"] for line in printed)
    assert max(map(len, printed)) <= 80


def test_another_protocol_has_no_verdict_and_says_why(tmp_path: Path) -> None:
    folder = study(tmp_path, changed=["epochs", "data.train_images"])
    summary = summarise(Study.read(folder))
    assert {row[4:] for row in shown(summary)} == {("–", "–", "–")}
    assert "full protocol" in legend(summary.asked.changed)
    for path in write_report(folder):
        if path.suffix != ".csv":
            assert "these runs change epochs, data." in path.read_text()


def test_noise_that_cannot_be_told(tmp_path: Path) -> None:
    one, two = ({"base": [90.0] * n, "better": [92.0] * n} for n in (1, 2))
    assert [row[-1] for row in shown(summarise(Study.read(study(tmp_path / "one", one, 1))))] == [
        "one seed: cannot be told"
    ] * 3
    assert shown(summarise(Study.read(study(tmp_path / "two", two, 2))))[0][-1] == "no spread: cannot be told"


def test_a_variant_without_a_result_has_dashes(tmp_path: Path) -> None:
    folder = study(tmp_path, {"base": [None, None, None], "better": [92.1, 93.0, 94.1]}, 3)
    assert shown(summarise(Study.read(folder)))[0] == ("base", "A & B", "93.3", "–", "–", "–", "–")
    write_report(folder)


@pytest.mark.parametrize("plan", [{"published": {}}, {}])
def test_a_study_without_published_figures_has_no_table(tmp_path: Path, plan: dict[str, Any]) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5, **plan)
    for path in write_report(folder):
        assert "ublished figures" not in path.read_text()
        assert "published_1" not in path.read_text()
