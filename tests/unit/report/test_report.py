import csv
import io
import re
import shutil
import statistics
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.errors import InputError
from truelift.records import Study
from truelift.report import summarise, write_report
from truelift.report.figures import rolling_mean
from truelift.report.table import latex_escape, number


def test_numbers_are_the_hand_computed_ones(study: Path) -> None:
    summary = summarise(Study.read(study))
    better = next(row for row in summary.rows if row.variant == "better")
    differences = [b - a for a, b in zip(ACCURACY["base"], ACCURACY["better"], strict=True)]
    assert better.comparison is not None
    assert better.comparison.difference == pytest.approx(statistics.mean(differences))
    assert better.mean == pytest.approx(statistics.mean(ACCURACY["better"]))
    assert better.sd == pytest.approx(statistics.stdev(ACCURACY["better"]))
    half = 2.776445 * statistics.stdev(differences) / 5**0.5  # t, 4 degrees of freedom
    assert better.comparison.interval == pytest.approx((2.02 - half, 2.02 + half), abs=1e-3)
    assert better.comparison.verdict == "helps"
    assert summary.headlines["better"].startswith("helps · better: test accuracy +2.02 points (95 % interval ")
    # In each seed the images from 10·(baseline's accuracy) on are right in the variant alone.
    gains = [
        sum(10 * a <= i < 10 * b for a, b in zip(ACCURACY["base"], ACCURACY["better"], strict=True)) / 5
        for i in range(1000)
    ]
    assert better.example_error == pytest.approx(100 * statistics.stdev(gains) / 1000**0.5, rel=1e-2)
    assert summary.headlines["a_b"].startswith("undecided")
    assert len(summary.problems) == 5
    assert summary.seconds["base"] == 60
    assert [environment["runs"] for environment in summary.environments] == [15]


def test_csv_has_the_same_numbers(study: Path) -> None:
    write_report(study)
    rows = list(csv.DictReader(io.StringIO((study / "report.csv").read_text())))
    found = {(row["metric"], row["variant"]): row for row in rows}
    row = found["test_accuracy", "better"]
    assert [float(row[f"seed_{k}"]) for k in range(5)] == ACCURACY["better"]
    assert row["verdict"] == "helps"
    assert float(row["difference"]) == pytest.approx(2.02)
    assert found["test_error", "better"]["verdict"] == "helps"  # lower is better there
    assert found["test_accuracy", "broken"]["seed_0"] == ""


class Balance(HTMLParser):
    """Tags that are open, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_sound_and_self_contained(study: Path) -> None:
    page = write_report(study)[0].read_text()
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(address.startswith("#") for address in parser.addresses)
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"url\((?!#)|@import|<script", page)
    assert "Is &lt;b&gt;this&lt;/b&gt; &amp; that" in page
    assert "<broke>" not in page
    assert page.index("helps") < page.index("<table")
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page))
    assert used <= set(parser.ids)
    assert len(page) < 400_000


def test_report_is_the_same_again_from_the_records_alone(study: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(study)]
    moved = tmp_path / "moved"
    shutil.copytree(study, moved, ignore=shutil.ignore_patterns("report.*"))
    assert [path.read_bytes() for path in write_report(moved)] == first


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "one", dict(ACCURACY), 1)
    summary = summarise(Study.read(folder))
    assert {row.comparison.verdict for row in summary.compared if row.comparison} == {"undecided"}
    assert "one seed decides nothing" in summary.headlines["better"].lower()
    write_report(folder)


def test_a_program_without_curves_or_predictions(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "bare", dict(ACCURACY), 5)
    for path in [*folder.glob("runs/*/*/metrics.jsonl"), *folder.glob("runs/*/*/predictions.npz")]:
        path.unlink()
    page = write_report(folder)[0].read_text()
    assert "left no curves" in page
    assert summarise(Study.read(folder)).rows[1].example_error is None


def test_a_metric_that_no_run_has_is_told(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "wrong", dict(ACCURACY), 5, metric="valid_accuracy")
    problems = summarise(Study.read(folder)).problems
    assert problems[0] == (
        "base, seed 0: its result has no valid_accuracy, only test_accuracy, test_error, train_seconds"
    )


def test_no_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study\.json does not exist"):
        write_report(tmp_path)


def test_latex_and_numbers() -> None:
    assert latex_escape("50 % of a_b & {c} \\") == r"50 \% of a\_b \& \{c\} \textbackslash{}"
    assert (number(1.234, sign=True), number(float("nan")), number(1e-5), number(0.0)) == (
        "+1.23",
        "–",
        "1.00e-05",
        "0.00",
    )


def test_rolling_mean_by_a_loop() -> None:
    values = np.random.default_rng(0).normal(size=(2, 20))
    expected = [[row[max(0, i - 3) : i + 1].mean() for i in range(20)] for row in values]
    np.testing.assert_allclose(rolling_mean(values, 4), expected)
    np.testing.assert_allclose(rolling_mean(values, 50)[:, -1], values.mean(1))
