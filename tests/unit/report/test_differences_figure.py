"""The picture of differences: two pairs' interval, many times as wide as all others, does not hide them."""

import re
from pathlib import Path

import pytest
from tests.unit.report.conftest import make_study

from truelift.records import Study
from truelift.report import figures, summarise
from truelift.report.figures import differences_figure


def farthest_tick(folder: Path, values: dict[str, list[float | None]]) -> float:
    """The largest number beside the axis of a study's picture, without its sign."""
    picture = differences_figure(summarise(Study.read(make_study(folder, values, 3))))
    return max(map(float, re.findall(r"(\d+(?:\.\d+)?)</text>", picture)))


def test_an_interval_of_two_pairs_runs_off_the_picture(tmp_path: Path) -> None:
    base: list[float | None] = [90.0, 91.0, 92.0]
    three: list[float | None] = [91.0, 92.2, 92.8]  # differences 1, 1.2 and 0.8
    two: list[float | None] = [90.0, 93.0, None]  # 0 and 2; the interval is wider than -11 to +13
    assert farthest_tick(tmp_path / "beside", {"base": base, "three": three, "two": two}) < 5
    assert farthest_tick(tmp_path / "alone", {"base": base, "two": two}) > 5
    one: list[float | None] = [60.0, None, None]  # -30, without an interval
    assert farthest_tick(tmp_path / "one pair", {"base": base, "three": three, "two": two, "one": one}) >= 30


@pytest.mark.parametrize(("names", "arrowheads"), [(("base", "three", "two"), 2), (("base", "two"), 0)])
def test_what_is_cut_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], arrowheads: int
) -> None:
    """By an arrowhead at either edge."""
    values: dict[str, list[float | None]] = {"base": [90, 91, 92], "three": [91, 92.2, 92.8], "two": [90, 93, None]}
    study = Study.read(make_study(tmp_path / "study", {name: values[name] for name in names}, 3))
    marked = differences_figure(summarise(study)).count("<use ")
    monkeypatch.setattr(figures, "_point_beyond", lambda axes, rows: None)
    assert marked - differences_figure(summarise(study)).count("<use ") == arrowheads
