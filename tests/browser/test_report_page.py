"""The report in a real browser: it fits a phone and a desk, in light and dark."""

import re
from pathlib import Path

import pytest
from tests.browser.chromium import CHROMIUM, dom
from tests.unit.report.conftest import ACCURACY, add_features, make_study, write_report

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
