"""Text of a user's that is an attack on the form that shows it stays text."""

import base64
import csv
import hashlib
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from tests.unit.report.conftest import ACCURACY, add_features, make_study, write_report

from truelift.records import Study, read_json, write_json
from truelift.report import print_summary, summarise
from truelift.report.figures import styled, svg_element
from truelift.report.plain import csv_cell, markdown_code, markdown_text, one_line
from truelift.report.security import script

BREAKS_OUT = '"><script onload="x">'
ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\nnext"


class Elements(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def hostile_study(folder: Path, text: str) -> Path:
    """`text` wherever a user's own can stand."""
    accuracy: dict[str, list[float | None]] = {
        "base": [*ACCURACY["base"]],
        text: [*ACCURACY["better"]],
        "broken": [None] * 5,
    }
    figure = {"value": 91.0, "source": text, "runs": 1, "sd": None}
    plan: dict[str, Any] = {
        "name": text,
        "question": text,
        "metric": f"{text}_accuracy",
        "unit": text,
        "scale": text,
        "repeat": text,
        "changed": [text],
        "shared": {text: text},
        "published": {"base": [figure]},
        "variants": {
            "base": {"settings": {}, "command": None},
            text: {"settings": {text: text}, "command": text},
            "broken": {"settings": {}, "command": None},
        },
    }
    names = {name: f"v{i}" for i, name in enumerate(accuracy)}  # of folders, which cannot hold every text
    make_study(folder, {names[name]: list(values) for name, values in accuracy.items()}, 5, **plan)
    content = read_json(folder / "study.json")
    for run in content["runs"]:
        path = folder / run["folder"]
        run["variant"] = next(name for name, short in names.items() if short == run["variant"])
        if (path / "result.json").exists():
            metrics = read_json(path / "result.json")["metrics"]
            own = {f"{text}_accuracy": metrics["test_accuracy"], "cpu_seconds": 10.0 - (run["variant"] == text)}
            own["training_operations"] = 1e9 * own["cpu_seconds"]
            write_json(path / "result.json", {"metrics": metrics | own})
            write_json(path / "environment.json", {"torch": text, "device": text})
            add_features(path, gaussians=True, a_class=3, classes=("a", text))
        else:
            write_json(path / "failure.json", {"reason": text})
    write_json(folder / "study.json", content | {"baseline": "base"})
    return folder


def test_the_page_runs_its_own_script_alone(tmp_path: Path) -> None:
    """The policy names each script by its hash, whatever text a user gave."""
    page = write_report(hostile_study(tmp_path / "made", BREAKS_OUT))[0].read_text()
    (policy,) = (a["content"] or "" for tag, a in Elements(page).found if a.get("http-equiv"))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert scripts == [script("sort.js")]
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; ")
    assert "connect-src" not in policy


@pytest.mark.parametrize("text", [BREAKS_OUT, BREAKS_OUT.replace('"', "'"), "{{ 7 * 7 }}</title></pre>"])
def test_page_has_the_same_elements_whatever_the_text(tmp_path: Path, text: str) -> None:
    harmless, hostile = (
        Elements(write_report(hostile_study(tmp_path / name, content))[0].read_text()).found
        for name, content in (("harmless", "x" * len(text)), ("hostile", text))
    )
    kept = [[(tag, set(attributes)) for tag, attributes in found if tag not in ("path", "use", "g", "defs")]
            for found in (harmless, hostile)]  # fmt: skip
    assert kept[0] == kept[1]
    assert not any(name.startswith("on") for _, attributes in hostile for name in attributes)
    assert [attributes for tag, attributes in hostile if tag == "script"] == [{}]  # the page's own, and no other
    labels = [attributes["aria-label"] or "" for tag, attributes in hostile if tag == "svg"]
    assert sum(text in label for label in labels) >= 2  # the trade-off's and the features': whole, as text


def test_an_elements_label_is_escaped_where_it_is_made() -> None:
    made = svg_element(Figure(figsize=(1, 1)), "name", BREAKS_OUT)
    ((tag, attributes), *_) = Elements(made).found
    assert (tag, attributes["aria-label"]) == ("svg", BREAKS_OUT)
    assert "onload" not in attributes


def test_a_pictures_texts_stay_as_they_are() -> None:
    figure = Figure(figsize=(3, 1))
    text = ' id="x" #0072b2 url(#x) #010203'
    figure.text(0, 0.5, text)
    with styled():
        assert f">{text}<" in svg_element(figure, "name", "label")


def test_terminal_gets_no_control_character(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    print_summary(summarise(Study.read(hostile_study(tmp_path / "made", ESCAPES))), console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printed)
    assert "gnp.exe next" in printed
    assert one_line(ESCAPES) == "]0;title[2J31mgnp.exe next"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        *((number, number) for number in ("-0.5", "+3", "-1e-05", "1", "base", "a=b", "")),
    ],
)
def test_a_spreadsheet_runs_no_formula(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_every_text_cell_of_the_csv_is_neutralised(tmp_path: Path) -> None:
    folder = hostile_study(tmp_path / "made", "=1+1")
    lines = list(csv.reader(io.StringIO(write_report(folder)[2].read_text())))
    assert any("'=1+1" in line for line in lines)
    assert [cell for line in lines for cell in line if cell.startswith(("=", "@", "\t"))] == []
    negative = [cell for line in lines for cell in line if cell.startswith("-")]
    assert all(float(cell) < 0 for cell in negative)


def test_markdown_shows_markup_as_text(tmp_path: Path) -> None:
    text = "a|b `c` <i>d</i> [e](javascript:f) ```"
    folder = hostile_study(tmp_path / "made", text)
    written = write_report(folder)[1].read_text()
    outside = written.replace(markdown_code(text), "")
    assert outside != written
    assert "<i>" not in outside
    assert not re.search(r"(?<!\\)[`\]]", outside)
    for line in outside.splitlines():
        if line.startswith("| base "):
            columns = re.findall(r"(?<!\\)\|", line)
            assert len(columns) in (8, 6, 4, 3)  # verdicts and published; savings; other metrics; settings
    assert markdown_text("~~x~~ a|b") == r"\~\~x\~\~ a\|b"
    assert markdown_code("a\n```\n# b").startswith("````\n")


def test_latex_has_no_blank_line_in_a_caption(tmp_path: Path) -> None:
    written = write_report(hostile_study(tmp_path / "made", "a\n\n\\input{x} % \x1b"))[3].read_text()
    printed = "\n".join(line for line in written.splitlines() if not line.startswith("% note: "))
    assert r"\input" not in printed.replace(r"\textbackslash{}input", "")
    caption = next(line for line in written.splitlines() if "caption" in line)
    assert r"a \textbackslash{}input\{x\} \%" in caption
    assert "\x1b" not in written
    shutil.rmtree(tmp_path)
