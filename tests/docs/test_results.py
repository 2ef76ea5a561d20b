"""Pages of docs/results: each table stands there as the kept records give it, and the records are small."""

import re

from tests.docs.blocks import ROOT, ci_script

RESULTS = ROOT / "docs/results"


SCRIPT = ci_script("results")


def test_every_table_is_what_the_records_give() -> None:
    pages = {file: file.read_text(encoding="utf-8") for file in RESULTS.glob("*.md")}
    pictures = {file: file.read_text(encoding="utf-8") for file in RESULTS.glob("*.svg")}
    shown = {name for text in pages.values() for name in re.findall(r"<!-- study: (\S+) -->", text)}
    assert shown == {folder.name for folder in (RESULTS / "records").iterdir()}
    assert {file.stem for file in pictures} == shown
    for file, text in pages.items():
        assert SCRIPT.page(text) == text, file
    assert {file: file.read_text(encoding="utf-8") for file in RESULTS.glob("*.svg")} == pictures


def test_what_is_kept_is_small_and_names_no_machine() -> None:
    for study in (RESULTS / "records").iterdir():
        files = [file for file in study.rglob("*") if file.is_file()]
        assert {file.name for file in files} <= {
            *("study.json", "config.toml", "environment.json", "result.json", "failure.json")
        }
        assert sum(file.stat().st_size for file in files) < 2 * 2**20  # some 200 runs
        for file in files:
            assert not re.search(r'"(/[a-z]+)+', file.read_text(encoding="utf-8")), file
