import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.unit.report.conftest import make_study, write_report

from truelift.records import Study, read_json, write_json
from truelift.report import print_summary, summarise
from truelift.report.tradeoff_figure import tradeoff_figure
from truelift.verdicts import paired_t_interval

ERROR = {"plain": [20.0, 21.0, 22.0], "short": [30.0, 31.0, 32.0], "frozen": [23.0, 23.5, 26.0], "far": [30.0, 30, 30]}
SECONDS = {"plain": [100.0, 100, 200], "short": [50.0, 50, 100], "frozen": [75.0, 90, 150], "far": [40.0, 120, 90]}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"freezing.name": "none"},
    "short": {"freezing.name": "none", "epochs": 5},
    "frozen": {"freezing.name": "freezeout", "epochs": 8},
    "far": {},
}


def saving_study(folder: Path, settings: dict[str, dict[str, Any]] = SETTINGS, **plan: Any) -> Path:
    accuracy: dict[str, list[float | None]] = {name: [100 - e for e in errors] for name, errors in ERROR.items()}
    variants = {name: {"settings": found, "command": None} for name, found in settings.items()}
    judged = {"metric": "test_error", "higher_is_better": False, "baseline": "plain", "question": "What is saved?"}
    make_study(folder, accuracy, 3, **{**judged, "variants": variants, **plan})
    for run in read_json(folder / "study.json")["runs"]:
        file = folder / run["folder"] / "result.json"
        result = read_json(file)
        seconds = SECONDS[run["variant"]][run["seed"]]
        result["metrics"] |= {"cpu_seconds": seconds, "training_operations": 1e12 * seconds}
        write_json(file, result)
    return folder


def test_the_line_by_hand(tmp_path: Path) -> None:
    """At savings of 25, 10 and 25 % the plain training's line stands at 25, 23 and 27."""
    (row,) = summarise(Study.read(saving_study(tmp_path))).trade_off.at_equal_time
    assert row.variant == "frozen"  # the other one lies beyond the line's ends under every seed
    assert row.values == (23.0, 23.5, 26.0)
    assert row.comparison is not None
    assert row.comparison.differences == pytest.approx((-2.0, 0.5, -1.0))
    assert row.comparison.interval == pytest.approx(paired_t_interval((-2.0, 0.5, -1.0)))
    assert row.comparison.verdict == "undecided"


def test_a_seed_without_a_line_is_left_out(tmp_path: Path) -> None:
    folder = saving_study(tmp_path)
    (folder / "runs/short/seed-0-00000000/result.json").unlink()
    (row,) = summarise(Study.read(folder)).trade_off.at_equal_time
    assert row.comparison is not None
    assert row.comparison.differences == pytest.approx((0.5, -1.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {**SETTINGS, "short": {"freezing.name": "freezeout", "epochs": 5}}},
        {"metric": "train_seconds", "relative": True},
    ],
    ids=["no other length", "a time as metric"],
)
def test_nothing_is_compared_without_a_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = saving_study(tmp_path, **changes)
    assert summarise(Study.read(folder)).trade_off.at_equal_time == ()
    write_report(folder)
    for ending in ("html", "md", "csv", "tex"):
        assert "equal time" not in (folder / f"report.{ending}").read_text()


def test_programs_have_no_epochs_of_ours(tmp_path: Path) -> None:
    variants = {name: {"settings": {}, "command": "python train.py --seed {seed} --out {out}"} for name in ERROR}
    folder = saving_study(tmp_path, variants=variants)
    assert summarise(Study.read(folder)).trade_off.at_equal_time == ()


def test_the_picture_joins_the_baselines_lengths(tmp_path: Path) -> None:
    summary = summarise(Study.read(saving_study(tmp_path)))
    lengths = summary.trade_off.lengths
    assert lengths == {"plain", "short"}
    with_line, without = (
        tradeoff_figure(replace(summary.trade_off, lengths=frozenset(names)), {}).count("stroke-dasharray")
        for names in (lengths, ())
    )
    # One line through both, in place of a line to each, which has no length.
    assert with_line == without - 1


def test_every_form_of_the_report_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saving_study(tmp_path)
    write_report(folder)
    print_summary(summarise(Study.read(folder)), Console(width=80))
    printed = capsys.readouterr().out
    assert "at equal time" in printed
    assert printed.splitlines()[-1].split()[:5] == ["frozen", "24.2", "±", "1.6", "-0.8"]
    assert "<h3>At equal time</h3>" in (folder / "report.html").read_text()
    assert "| frozen | 24.2 ± 1.6 | -0.8 | -4.0 to +2.3 |" in (folder / "report.md").read_text()
    assert r"frozen & 24.2 $\pm$ 1.6 & $-$0.8" in (folder / "report.tex").read_text()
    lines = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))
    found = {row["variant"]: row for row in lines if row["metric"] == "test_error"}
    assert float(found["frozen"]["equal_time_difference"]) == pytest.approx(-2.5 / 3)
    assert (found["frozen"]["equal_time_pairs"], found["frozen"]["equal_time_verdict"]) == ("3", "undecided")
    assert found["plain"]["equal_time_difference"] == found["far"]["equal_time_verdict"] == ""
