"""Injections: text of a user's that is an attack on the form that shows it, wherever a study takes text."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from random import Random

from tests.attack.case import Attack, Case, as_command
from tests.attack.records_cases import copy_study

_PAYLOADS = (
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "</title></pre></style></svg></template><script>x</script>",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${7*7}",
    "%s%n%x",
    "=cmd|' /C calc'!A0",
    "+1+cmd",
    "-2+3+cmd",
    "@SUM(1+1)",
    "\t=1+1",
    "＝1+1",
    "a,b\r\n=1+1",
    '"=1+1',
    "\x1b[2J\x1b]0;x\x07",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066a\u2069",
    "a\n\nb",
    "a\r\n# b",
    "\x00",
    "\ud800",
    "\ufeff",
    "|a|b|",
    "`x` ``` ~~~",
    "[x](javascript:x)",
    "![x](http://x.example/y.png)",
    "<b>x</b>",
    "\\input{/etc/passwd}",
    "\\write18{id}",
    "$x$ %",
    "^^5cinput",
    "[bold]x[/bold]",
    "[link=file:///etc/passwd]x[/link]",
    "$\\frac$",
    "x" * 5000,
    "😀é",
    " ",
    "",
)
# Where a study's records hold text of a user's.
_PLACES = (
    "name",
    "question",
    "metric",
    "unit",
    "variant",
    "setting",
    "command",
    "source",
    "reason",
    "environment",
    "all",
)

_BENIGN = "plain text"
_CODE = re.compile(r"^(```+)\n.*?^\1$", re.DOTALL | re.MULTILINE)
_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_TAGS = re.compile(r"path|use|g|defs|clippath|rect|text|tspan|style")


class _Elements(HTMLParser):
    """The tags of a page, and those of their attributes' names that run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.runs: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not _TAGS.fullmatch(tag):
            self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src", "action") and (value or "").startswith("javascript")):
                self.runs.append(f"{tag} {name}")


def cases(random: Random, number: int) -> Iterator[Case]:
    """Each text in each place, then so many texts joined by chance."""
    for place in _PLACES:
        for i, text in enumerate(_PAYLOADS):
            yield _case(f"{place}, text {i}", place, text)
    for i in range(number):
        text = "".join(random.choices(_PAYLOADS[:-3], k=random.randint(2, 4)))
        yield _case(f"drawn {i}", random.choice(_PLACES), text[:6000])


def _case(name: str, place: str, text: str) -> Case:
    def prepare(folder: Path) -> Attack:
        attacked, harmless = (_placed(folder / made, place, content) for made, content in (("a", text), ("b", _BENIGN)))
        return as_command(lambda: _reported(attacked, harmless, text))

    return Case(f"texts: {name}", prepare, seconds=60)


def _placed(folder: Path, place: str, text: str) -> Path:
    """A finished study with a text in a place of its records."""
    copy_study(folder)
    plan = json.loads((folder / "study.json").read_text())
    everywhere = place == "all"
    for key in ("name", "question", "unit"):
        if everywhere or place == key:
            plan[key] = text
    if everywhere or place == "setting":
        plan["shared"] = {text: text}
        plan["variants"]["other"]["settings"] = {"x": text}
        plan["changed"] = [text]
    if everywhere or place == "command":
        plan["repeat"] = text
        plan["variants"]["other"]["command"] = text
    if everywhere or place == "source":
        plan["published"]["plain"][0]["source"] = text
    if everywhere or place == "variant":
        plan["variants"] = {"plain": plan["variants"]["plain"], text: plan["variants"]["other"]}
        for run in plan["runs"]:
            run["variant"] = run["variant"].replace("other", text)
    run = folder / plan["runs"][0]["folder"]
    if everywhere or place == "metric":
        plan["metric"] = f"{text}_accuracy"
        for one in plan["runs"]:
            result = json.loads((folder / one["folder"] / "result.json").read_text())
            result["metrics"][plan["metric"]] = result["metrics"]["test_accuracy"]
            (folder / one["folder"] / "result.json").write_text(json.dumps(result))
    if everywhere or place == "environment":
        (run / "environment.json").write_text(json.dumps({"torch": text, "device": text, "commit": text}))
    if place == "reason":
        (run / "result.json").unlink()
        (run / "failure.json").write_text(json.dumps({"reason": text}))
    (folder / "study.json").write_text(json.dumps(plan))
    return folder


def _reported(attacked: Path, harmless: Path, text: str) -> None:
    """Both reports: that of the text must be of the same elements, and hold nothing that runs."""
    from rich.console import Console

    from truelift.records import Study
    from truelift.report import print_summary, summarise, write_forms

    pages = []
    for folder in (attacked, harmless):
        summary = summarise(Study.read(folder))
        files = write_forms(summary)
        print_summary(summary, Console(width=120))
        pages.append({file.name.removeprefix("report"): file.read_text(encoding="utf-8") for file in files})
    found, wanted = (_Elements(page[".html"]) for page in pages)
    assert not found.runs, found.runs
    sound = text.encode(errors="ignore").decode() == text  # else a record with it is damaged, and both forms say so
    if sound:
        assert found.tags == wanted.tags, "the page has other elements"
    for table in (".csv", "-runs.csv"):
        lines, normal = (list(csv.reader(io.StringIO(page[table]))) for page in pages)
        assert {len(line) for line in lines} == {len(normal[0])}, "the table has other columns"
        if sound:
            assert len(lines) == len(normal), "the table has other lines"
        for cell in (cell for line in lines for cell in line):
            assert not cell.startswith(("=", "@", "+", "\t", "\r", "＝")) or _is_number(cell), f"a formula: {cell!r}"
    for page in pages[0].values():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]", page), (
            "a control character"
        )
    assert "<script" not in _CODE.sub("", pages[0][".md"]), "markup in Markdown"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
