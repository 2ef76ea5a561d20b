"""Names of any length: a picture keeps its size, and says as much of them as it has room for."""

import warnings
from pathlib import Path

import pytest
from tests.unit.report.test_tradeoff import saving_study

from truelift.records import Study, read_plan, write_json
from truelift.report import summarise
from truelift.report.figures import differences_figure
from truelift.report.plain import one_line, shortened
from truelift.report.tradeoff_figure import tradeoff_figure


@pytest.mark.parametrize("length", [30, 100, 5000])
def test_long_names(tmp_path: Path, length: int) -> None:
    folder = saving_study(tmp_path)
    plan, name = read_plan(folder), "x" * length + "y"
    plan["variants"][name] = plan["variants"].pop("cubic-0.5")
    for run in plan["runs"]:
        run["variant"] = run["variant"].replace("cubic-0.5", name)
    write_json(folder / "study.json", plan)
    summary = summarise(Study.read(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = [differences_figure(summary), tradeoff_figure(summary.trade_off.choices, summary.metric)]
    assert all("xxx" in picture and "xy<" in picture for picture in pictures)


def test_shortened() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcde…hijk"
    assert len(shortened("x" * 99, 31)) == 31


def test_what_is_not_seen_does_not_reach_a_terminal() -> None:
    assert one_line("\ufeffa\u200bb\u2060c\x9b31m\u202ed\u2028e\U000e0041") == "abc31md e"
    assert one_line("क्\u200dष 👩\u200d🔬") == "क्\u200dष 👩\u200d🔬"  # joiners are letters of some scripts
