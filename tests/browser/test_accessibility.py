"""The page in a real browser, by what a reader needs: axe-core's rules, the keyboard, a phone, no foreign script."""

import json
import re
from pathlib import Path

import pytest
from tests.browser.chromium import CHROMIUM, axe, dom
from tests.unit.report.conftest import ACCURACY, add_features, make_study, write_report

from truelift.report.all_studies import write_index

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: nothing was looked at in it")

RUN_AXE = """<script>
axe.run(document).then((found) => {
  const told = document.createElement("p");
  told.id = "told";
  told.textContent = JSON.stringify({
    rules: found.passes.map((rule) => rule.id),
    broken: found.violations.map((rule) => [rule.id, rule.nodes.map((node) => node.html.slice(0, 200))]),
  });
  document.body.append(told);
});
</script>"""
# The page in a frame of a phone's width, and a script that uses it as a reader would.
USE = """<!doctype html><iframe id="page" src="report.html" width="390" height="800"></iframe><p id="said"></p>
<script>onload = () => {
  const page = document.getElementById("page").contentDocument;
  const table = page.querySelector("table.judged");
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
  const said = { before: column(), edges: [...table.querySelectorAll("td:nth-child(2)")].map(
    (cell) => cell.getBoundingClientRect().right) };
  said.answer = page.querySelector(".answer").getBoundingClientRect().bottom;
  const head = table.tHead.rows[0].cells[3];
  const button = head.querySelector("button");
  button.focus();
  said.focused = page.activeElement === button;
  button.click();
  said.up = [head.getAttribute("aria-sort"), column()];
  button.click();
  said.down = [head.getAttribute("aria-sort"), column()];
  said.unreachable = [...page.querySelectorAll(".scroll, pre")].filter((one) => one.tabIndex !== 0).length;
  document.getElementById("said").textContent = JSON.stringify(said);
}</script>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_study(tmp_path / "made", {**ACCURACY, "broken": [None] * 5}, 5, source="a.toml", started_in="..")
    (made / "runs/broken/seed-0-00000000/log.txt").write_text("no memory\n")
    add_features(made / "runs/base/seed-0-00000000", gaussians=True)
    write_report(made)
    return made


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["report.html", "index.html"])
def test_axe_finds_nothing(tmp_path: Path, folder: Path, name: str, dark: bool) -> None:
    source = axe()
    if source is None:
        pytest.skip("axe-core is not installed: its rules were NOT tried")
    page = (folder / name if name == "report.html" else write_index(tmp_path)[0]).read_text()
    # Its own policy would keep axe from running.
    opened, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert count == 1
    opened = opened.replace("<details>", "<details open>")
    tried = tmp_path / "tried.html"
    tried.write_text(opened.replace("</body>", f"<script>{source}</script>{RUN_AXE}</body>"))
    told = re.search(r'<p id="told">(.*?)</p>', dom(tried, tmp_path / "profile", dark=dark), re.DOTALL)
    assert told
    found = json.loads(told[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert found["broken"] == []
    assert {"color-contrast", "document-title", "html-has-lang"} <= set(found["rules"])  # they were tried


def test_a_phone_shows_the_verdicts_and_tables_can_be_sorted(tmp_path: Path, folder: Path) -> None:
    (folder / "frame.html").write_text(USE)
    told = re.search(r'<p id="said">(.*?)</p>', dom(folder / "frame.html", tmp_path / "profile"))
    assert told
    said = json.loads(told[1])
    assert max(said["edges"]) <= 390  # beside the names, without scrolling sideways
    assert said["answer"] <= 800
    assert said["before"] == ["base", "better", "a_b", "broken"]
    assert said["focused"]
    assert said["up"] == ["ascending", ["a_b", "better", "base", "broken"]]  # what has no number comes last
    assert said["down"][0] == "descending"
    assert said["down"][1].index("better") < said["down"][1].index("a_b")
    assert said["unreachable"] == 0


def test_a_foreign_script_does_not_run(tmp_path: Path, folder: Path) -> None:
    """Even if a text were not escaped: the page's policy names its own script alone, and lets nothing be fetched."""
    page = (folder / "report.html").read_text()
    attack = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    for where, runs in (("attacked", False), ("without", True)):
        text = page.replace("</main>", f"{attack}</main>")
        if runs:  # so that it is the policy that keeps it from running
            text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        (folder / f"{where}.html").write_text(text)
        shown = dom(folder / f"{where}.html", tmp_path / where, may_complain=True)
        assert ("<title>taken</title>" in shown) is runs
