"""The picture of differences: two pairs' interval, many times as wide as all others, does not hide them."""

import re
from pathlib import Path

from tests.unit.report.conftest import make_study

from truelift.records import Study
from truelift.report import summarise
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
