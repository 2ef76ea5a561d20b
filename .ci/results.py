"""docs/results: studies kept as small records, and the tables and pictures of its pages, made from them alone.

    python .ci/results.py --keep runs/freezeout-short-narrow    a study's small records, into docs/results/records
    python .ci/results.py                                       every page's tables and pictures anew

Kept are the plan and each run's settings, environment and result: no checkpoint, no predictions, no curve, and no path
of the machine. A page asks for a study's tables by a pair of comments, `<!-- study: NAME -->` and `<!-- end -->`; a
test compares what stands between them with what the records give.
"""

import argparse
import json
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from truelift.records import Study
from truelift.report.figures import differences_figure
from truelift.report.markdown import markdown
from truelift.report.summary import summarise

RESULTS = Path(__file__).parents[1] / "docs/results"
_BLOCK = re.compile(r"(<!-- study: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_OF_THE_MACHINE = ("command", "started_in")
_SECTIONS = ("## Runs that are missing", "## Runs to look at", "## Saving", "### At equal time", "## Environment")
"""Of a report, beside its answer and the table of its metric."""


def keep(study: Path) -> Path:
    """Copy a study's small records."""
    kept = RESULTS / "records" / study.resolve().name
    shutil.rmtree(kept, ignore_errors=True)
    for run in Study.read(study).runs:
        there = kept / run.folder.relative_to(study)
        there.mkdir(parents=True)
        for name in ("config.toml", "environment.json", "result.json", "failure.json"):
            if (run.folder / name).exists():
                shutil.copy(run.folder / name, there)
    shutil.copy(study / "study.json", kept)
    files = [file for file in kept.rglob("*") if file.is_file()]
    places = {place for file in files if file.suffix == ".toml" for place in _paths(tomllib.loads(file.read_text()))}
    for file in files:
        text = file.read_text(encoding="utf-8")
        for place in sorted(places, key=len, reverse=True):
            text = text.replace(place, "FOLDER")
        if file.suffix == ".json":
            told = {name: value for name, value in json.loads(text).items() if name not in _OF_THE_MACHINE}
            text = json.dumps(told, indent=1) + "\n"
        file.write_text(text, encoding="utf-8")
    return kept


def _paths(config: dict[str, Any]) -> list[str]:
    """The absolute paths among a run's settings."""
    tables = [config, *(table for table in config.values() if isinstance(table, dict))]
    values = [value for table in tables for value in table.values()]
    return [value for value in values if isinstance(value, str) and Path(value).is_absolute()]


def block(name: str) -> str:
    """What a page shows of a kept study; its picture is written beside the page."""
    with tempfile.TemporaryDirectory() as made:  # to read a study leaves a lock in it
        study = Path(made) / name
        shutil.copytree(RESULTS / "records" / name, study)
        summary = summarise(Study.read(study))
    head, *sections = re.split(r"\n(?=##+ )", markdown(summary))
    shown = [re.sub("^##+", "####", section.strip()) for section in sections if section.startswith(_SECTIONS)]
    picture = str(differences_figure(summary)).replace("<svg ", '<svg style="background: white" ', 1)
    (RESULTS / f"{name}.svg").write_text(picture + "\n", encoding="utf-8")
    alternative = "Each seed's difference to the baseline, with mean and interval"
    return "\n\n".join([head.split("\n", 1)[1].strip(), f"![{alternative}]({name}.svg)", *shown])


def page(text: str) -> str:
    """A page with its blocks anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{block(found[2])}\n\n{found[3]}", text)


def main() -> None:
    """Keep a study's records, or write every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="STUDY", type=Path, help="take a study's records up, and end")
    given = parser.parse_args()
    if given.keep is not None:
        print(keep(given.keep))
        return
    for file in sorted(RESULTS.glob("*.md")):
        file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
