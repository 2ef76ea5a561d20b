"""Every block of Python in the documentation runs, with what stands around it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ALL, PAGES, ROOT, blocks
from tests.docs.surroundings import around

WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other. A block that opens with "# NAME.py" is a program, and is given a seed and a folder."""
    monkeypatch.chdir(tmp_path)
    made: dict[str, object] = {}
    ran = 0
    for block in blocks(page):
        if block.language != "python" or block.reason:
            continue
        first = block.text.split("\n", 1)[0]
        if first.startswith("# ") and first.endswith(".py"):
            Path(first[2:]).write_text(block.text, encoding="utf-8")
            command = [sys.executable, first[2:], "--seed", "0", "--out", "."]
            subprocess.run(command, check=True, timeout=200, cwd=tmp_path)
            if "metrics.json" in block.text:
                assert 80 < json.loads(Path("metrics.json").read_text())["val_accuracy"] <= 100
        else:
            names = around(block.text, made)
            # The blank lines let a traceback name the page's own line.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            made |= names
        ran += 1
    assert ran or all(block.reason for block in blocks(page) if block.language == "python")


def test_what_is_not_run_says_why() -> None:
    reasons = [block.reason for block in ALL if block.reason is not None]
    assert all(reason.startswith(("needs ", "is ")) for reason in reasons)
    assert len(reasons) < len(ALL) / 4
