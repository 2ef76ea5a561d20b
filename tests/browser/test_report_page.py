"""The report in a real browser: it fits a phone and a desk, in light and dark."""

import re
from pathlib import Path

import pytest
from tests.browser.chromium import CHROMIUM, dom
from tests.unit.report.conftest import ACCURACY, add_features, make_study, write_report
from tests.unit.report.test_tradeoff import saving_study

from truelift.report.all_studies import write_index

# The page inside a frame of the wanted width, and a script that says how wide it wants to be.
FRAME = """<!doctype html><iframe id="page" src="report.html" width="{width}" height="900"></iframe><p id="said"></p>
<script>onload = () => {{
  const d = document.getElementById("page").contentDocument;
  document.getElementById("said").textContent = "wants " + d.documentElement.scrollWidth + " of "
    + d.documentElement.clientWidth + ", ink " + getComputedStyle(d.body).color
    + ", drawings " + d.querySelectorAll("svg").length;
}}</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was NOT looked at in a browser")
@pytest.mark.parametrize("width", [360, 390, 1200])
def test_page_fits(tmp_path: Path, width: int) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5)
    for variant in ("base", "better"):
        add_features(folder / "runs" / variant / "seed-0-00000000", gaussians=variant != "base")
    write_report(folder)
    (folder / "frame.html").write_text(FRAME.format(width=width))
    said = {}
    for scheme in ("dark", "light"):
        found = dom(folder / "frame.html", tmp_path / scheme, dark=scheme == "dark")
        match = re.search(r"wants (\d+) of (\d+), ink ([^<]*), drawings (\d+)", found)
        assert match, found
        assert int(match[1]) <= int(match[2])
        assert int(match[4]) == 5
        said[scheme] = match[3]
    assert said["dark"] != said["light"]


PICTURE = """<!doctype html><iframe id="page" src="report.html" width="390" height="900"></iframe><p id="said"></p>
<script>onload = () => {
  const d = document.getElementById("page").contentDocument;
  const picture = d.querySelector(".wide svg"), text = [...picture.querySelectorAll("text")];
  const heights = text.map((one) => one.getBoundingClientRect().height).sort((a, b) => a - b);
  document.getElementById("said").textContent = "letters " + heights[0] + ", scrolls "
    + (picture.parentElement.scrollWidth > picture.parentElement.clientWidth)
    + ", wants " + d.documentElement.scrollWidth;
}</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was NOT looked at in a browser")
def test_a_phone_shows_the_wide_picture_with_letters_that_can_be_read(tmp_path: Path) -> None:
    folder = saving_study(tmp_path / "made")
    write_report(folder)
    (folder / "frame.html").write_text(PICTURE)
    found = re.search(r"letters ([\d.]+), scrolls (\w+), wants (\d+)", dom(folder / "frame.html", tmp_path / "light"))
    assert found
    assert float(found[1]) >= 9  # pixels, of the smallest
    assert found[2] == "true"
    assert int(found[3]) <= 390


INDEX = """<!doctype html><iframe id="page" src="index.html" width="{width}" height="900"></iframe><p id="said"></p>
<script>onload = () => {{
  const d = document.getElementById("page").contentDocument;
  const heads = [...d.querySelectorAll("thead th")].map((one) => one.getBoundingClientRect().height);
  const question = d.querySelector("tbody th a").getClientRects().length;
  document.getElementById("said").textContent = "heads " + Math.max(...heads) + ", lines " + question;
}}</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was NOT looked at in a browser")
@pytest.mark.parametrize(("width", "most_lines"), [(390, 6), (1200, 2)])
def test_the_index_gives_the_question_its_room(tmp_path: Path, width: int, most_lines: int) -> None:
    question = "Does leaving out a block's last ReLU help on my photographs?"
    write_report(make_study(tmp_path / "made", dict(ACCURACY), 5, question=question))
    write_index(tmp_path)
    (tmp_path / "frame.html").write_text(INDEX.format(width=width))
    found = re.search(r"heads ([\d.]+), lines (\d+)", dom(tmp_path / "frame.html", tmp_path / "light"))
    assert found
    assert float(found[1]) < 50  # a line of a column's name, not of a letter
    assert int(found[2]) <= most_lines


WIDE = """<!doctype html><iframe id="page" src="report.html" width="1000" height="900"></iframe><p id="said"></p>
<script>onload = () => {
  const of = document.getElementById("page").contentDocument.querySelector("table.judged").parentElement;
  document.getElementById("said").textContent = "table of " + of.scrollWidth + " in " + of.clientWidth;
}</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was NOT looked at in a browser")
def test_a_screen_shows_every_column_beside_long_names(tmp_path: Path) -> None:
    names = ("base", "mixup-no-label-smoothing", "cutmix")
    accuracy: dict[str, list[float | None]] = {name: [20.0, 80.0, 40.0, 60.0, 20.0 + n] for n, name in enumerate(names)}
    write_report(make_study(tmp_path / "made", accuracy, 5))
    (tmp_path / "made/frame.html").write_text(WIDE)
    found = re.search(r"table of (\d+) in (\d+)", dom(tmp_path / "made/frame.html", tmp_path / "light"))
    assert found
    assert int(found[1]) <= int(found[2]) + 1  # both are rounded


TABLE = """<!doctype html><iframe id="page" src="report.html" width="390" height="900"></iframe><p id="said"></p>
<script>onload = () => {
  const d = document.getElementById("page").contentDocument;
  const rows = [...d.querySelector("table.judged").tBodies[0].rows];
  const lines = rows.map((row) => row.cells[0].firstChild.getClientRects().length
    && Math.round(row.cells[0].firstChild.offsetHeight / parseFloat(getComputedStyle(row.cells[0]).lineHeight)));
  const ends = rows.map((row) => Math.ceil(row.cells[1].getBoundingClientRect().right));
  document.getElementById("said").textContent = "lines " + lines + "; ends " + ends + "; of "
    + d.querySelector("div.scroll").getBoundingClientRect().right;
}</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was NOT looked at in a browser")
def test_a_phone_shows_whole_names_and_the_verdict_without_scrolling(tmp_path: Path) -> None:
    names = ("base", "sharpness-aware", "freezeout-t0-0.6-constant", "a_very_long_name_of_a_variant_with_many_parts")
    accuracy: dict[str, list[float | None]] = {name: list(ACCURACY["a_b"]) for name in names}
    accuracy["broken"] = [None] * 5
    write_report(make_study(tmp_path / "made", accuracy, 5))
    (tmp_path / "made/frame.html").write_text(TABLE)
    found = re.search(
        r"lines ([\d,]+); ends ([\d,]+); of ([\d.]+)", dom(tmp_path / "made/frame.html", tmp_path / "light")
    )
    assert found
    assert found[1] == "1,1,1,2,1"
    assert max(map(int, found[2].split(","))) <= float(found[3])
