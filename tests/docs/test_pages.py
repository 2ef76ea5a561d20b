"""The pages: links lead somewhere, each page has its place in the navigation, techniques' pages have their parts."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAPERS = ("freezeout", "gradient-similarity", "gaussian-mixture")
TECHNIQUES = [
    path for path in (*DOCS.glob("techniques/*.md"), *(DOCS / f"{name}.md" for name in PAPERS)) if path.stem != "index"
]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    heads = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    texts = [re.sub(r"[`*\[\]]|\(.*?\)", "", head).lower() for head in heads]
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", text)).strip("-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_a_lost_link_is_found(tmp_path: Path) -> None:
    """The test above could fail."""
    page = tmp_path / "page.md"
    page.write_text("# One, two\n\n[a](page.md#one-two) [b](page.md#three) [c](other.md)\n")
    assert anchors(page) == {"one-two"}
    assert not (tmp_path / "other.md").exists()


def navigation() -> list[str]:
    """The paths that mkdocs.yml names; its form is simple enough to be read by lines."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    return re.findall(r": (\S+\.md)$", nav, re.MULTILINE)


def test_every_page_has_one_place() -> None:
    named = navigation()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages |= {path.relative_to(DOCS).with_suffix(".md").as_posix() for path in DOCS.rglob("*.ipynb")}
    assert sorted(named) == sorted(set(named))
    assert sorted(pages) == sorted(named)


@pytest.mark.parametrize("page", TECHNIQUES, ids=lambda page: page.stem)
def test_a_technique_s_page_has_its_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for part in (
        "**When it helps.**",
        "\n## In your own loop",
        "```python",
        "\n## Measured",
        "\n## Pitfalls",
        "\n    ",
    ):
        assert part in text, part


def test_every_recipe_is_listed() -> None:
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    recipes = sorted(path for path in (ROOT / "src/truelift/recipes").glob("*.toml"))
    for path in recipes:
        recipe: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        assert f"| `{path.stem}` | {recipe['question']} |" in page


def test_the_notebook_is_executed_and_small() -> None:
    import json

    path = DOCS / "notebooks/digits.ipynb"
    assert path.stat().st_size < 150_000
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert "helps · mixup" in json.dumps(cells, ensure_ascii=False)


def test_the_notebook_runs(tmp_path: Path) -> None:
    import json

    cells = json.loads((DOCS / "notebooks/digits.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    program = tmp_path / "notebook.py"
    program.write_text(f"import matplotlib\nmatplotlib.use('agg')\n{code}\n", encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "mixup" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs: the site was NOT built")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/source/examples/own/loss.py.html").exists()
    page = (tmp_path / "site/freezeout.html").read_text(encoding="utf-8")
    assert "https://fonts" not in page
    assert "Patterns for common networks" in page
