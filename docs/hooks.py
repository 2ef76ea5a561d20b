"""What the site's build does beside MkDocs: it carries the files that pages link to outside docs/, and the notebooks.

A link such as ../examples/own/loss.py works where the sources are read. The site has a page for each such file, under
source/: Markdown as it is, a program as a block of code, a folder as a list of its files.
"""

import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "bash", ".sbatch": "bash", ".json": "json", ".csv": "csv"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the navigation does not name under "More"."""
    left = unplaced(config.nav or [], Path(config.docs_dir))
    if left and config.nav is not None:
        config.nav.append({"More": left})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, for each file outside docs/ that a page links to, and for what those link to."""
    for notebook in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        uri = notebook.relative_to(config.docs_dir).with_suffix(".md").as_posix()
        files.append(File.generated(config, uri, content=notebook_page(notebook)))
    waiting = {target for page in files.documentation_pages() for target in outside(page.src_uri, page.content_string)}
    done: set[str] = set()
    while waiting:
        target = waiting.pop()
        done.add(target)
        text = page_of(target)
        files.append(File.generated(config, carried(target), content=text, inclusion=InclusionLevel.NOT_IN_NAV))
        waiting |= set(outside(carried(target), text)) - done
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files outside docs/, and from there into it, lead to the pages that carry them."""
    here = posixpath.dirname(page.file.src_uri)

    def rewritten(link: re.Match[str]) -> str:
        target = meant(page.file.src_uri, link[2])
        return (
            notebook_link(link)
            if target is None
            else f"{link[1]}{posixpath.relpath(carried(target), here or '.')}{link[3]}"
        )

    parts = FENCE.split(markdown)
    return "".join(part if FENCE.fullmatch(part) else LINK.sub(rewritten, part) for part in parts)


def notebook_link(link: re.Match[str]) -> str:
    """A link to a notebook leads to the page that shows it; any other stays."""
    return link[0].replace(".ipynb", ".md") if not re.match(r"[a-z]+:", link[2]) else link[0]


def unplaced(nav: Any, docs: Path) -> list[str]:
    """The pages in `docs` that `nav` does not name, by their paths from there; a notebook by its page's."""
    found = [path.relative_to(docs) for kind in ("*.md", "*.ipynb") for path in docs.rglob(kind)]
    pages = {path.with_suffix(".md").as_posix() for path in found if ".ipynb_checkpoints" not in path.parts}
    return sorted(pages - set(named(nav)))


def named(nav: Any) -> list[str]:
    """The paths that a navigation names, in its order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [path for part in parts for path in named(part)]


def outside(uri: str, text: str) -> list[str]:
    """The files outside docs/, by their paths from the root, that the text of a page links to."""
    found = [meant(uri, link[2]) for link in LINK.finditer(FENCE.sub("", text))]
    return [target for target in found if target is not None and not target.startswith("docs/")]


def meant(uri: str, link: str) -> str | None:
    """What `link` in the page `uri` leads to, by its path from the root; None where the site needs no other link."""
    if re.match(r"[a-z]+:", link):
        return None
    from_source = uri.startswith("source/")
    base = uri.removeprefix("source/") if from_source else f"docs/{uri}"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(base), link))
    if path.startswith("../") or not (ROOT / path).exists() or (path.startswith("docs/") and not from_source):
        return None
    return path


def carried(target: str) -> str:
    """The page of the site that carries a file or folder."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    path = ROOT / target
    return f"source/{target}/index.md" if path.is_dir() else f"source/{target}{'' if path.suffix == '.md' else '.md'}"


def page_of(target: str) -> str:
    """The text of that page."""
    path = ROOT / target
    if path.is_dir():
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_file() and entry.name[0] not in "._")
        return f"# {target}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {target}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text}````\n"


def notebook_page(path: Path) -> str:
    """A notebook's cells and what they put out, as Markdown."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        parts += [shown(output) for output in cell.get("outputs", [])]
    return "\n\n".join(part for part in parts if part) + "\n"


def shown(output: dict[str, Any]) -> str:
    """One output of a cell: a picture, HTML or text, whichever is richest."""
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img alt="the cell\'s figure" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    if "text/html" in data:
        return f'<div class="output">{"".join(data["text/html"])}</div>'
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```" if text else ""
