"""Pages of docs/results: each table stands there as the kept records give it, and the records are small."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from tests.docs.blocks import ROOT, ci_script
from truelift import recipes
from truelift.records.packed import unpack
from truelift.studies.folders import by_folder, pending_of
from truelift.studies.held import refuse_other
from truelift.studies.study_file import read_plan
from truelift.studies.study_file_parts import PAPER

RESULTS = ROOT / "docs/results"


SCRIPT = ci_script("results")


def test_every_table_is_what_the_records_give() -> None:
    pages = {file: file.read_text(encoding="utf-8") for file in SCRIPT.PAGES}
    pictures = {file: file.read_text(encoding="utf-8") for file in RESULTS.glob("*.svg")}
    texts = "".join(pages.values())
    shown = set(re.findall(r"<!-- (?:study|means): (\S+)(?: by \w+)? -->", texts))
    assert shown == {file.stem for file in SCRIPT.RECORDS.iterdir()}
    drawn = re.findall(r"<!-- study: (\S+)(?: by (\w+))? -->", texts)
    assert {file.stem for file in pictures} == {f"{name}-by-{metric}" if metric else name for name, metric in drawn}
    for file, text in pages.items():
        assert SCRIPT.page(text) == text, file
    assert {file: file.read_text(encoding="utf-8") for file in RESULTS.glob("*.svg")} == pictures


def test_readme_shows_a_study_that_has_a_page() -> None:
    (name,) = re.findall(r"<!-- answer: (\S+) -->", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert (RESULTS / f"{name}.svg").exists()


def test_means_are_over_the_seeds_that_are_there() -> None:
    rows = [line.split(" | ") for line in SCRIPT.means("techniques-in-pairs").splitlines() if " | " in line]
    (plain,) = (row for row in rows if row[0] == "| plain")
    (both,) = (row for row in rows if row[0] == "| mixup-and-trivial-augment")
    assert plain[1] == "2"
    assert both[1] == "1"
    assert both[3:] == ["+1.71", "0 of 1 |"], "the mean of the pairs, not the difference of the means"
    assert "hurts" not in SCRIPT.means("techniques-in-pairs")


@pytest.mark.parametrize("kept", sorted(SCRIPT.RECORDS.iterdir()), ids=lambda file: file.stem)
def test_the_same_command_goes_on_from_there(kept: Path, tmp_path: Path) -> None:
    """A change of a training that orphans kept runs is seen here; variants that a recipe has no more are left out."""
    folder = unpack(kept, tmp_path)
    there = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    name, scale = there["name"], there["scale"] or PAPER
    source = recipes.study_file(name.removesuffix(f"-{scale}"))
    overrides = {"data.path": "elsewhere/cifar10"}
    if "detection.outliers" in there["changed"]:
        outliers = tmp_path / Path(there["shared"]["detection.outliers"]).name
        outliers.mkdir()
        overrides["detection.outliers"] = str(outliers)
    plan = read_plan(source, scale=scale, seeds=len(there["seeds"]), overrides=overrides)
    names = {variant.name for variant in plan.variants}
    found = [run.parent.relative_to(folder) for run in folder.glob("runs/*/*/result.json")]
    done = {run.as_posix() for run in found if run.parts[1] in names}
    folders = by_folder(plan, folder)
    assert refuse_other(folder, source, there["scale"], [run["folder"] for run in there["runs"]]) is None
    assert {path.relative_to(folder).as_posix() for path in set(folders) - set(pending_of(plan, folders))} == done
    assert len(done) >= 5


def test_what_is_kept_is_small_and_names_no_machine() -> None:
    for study in SCRIPT.RECORDS.iterdir():
        assert study.stat().st_size < 2 * 2**20  # some 200 runs
        for record in json.loads(study.read_text(encoding="utf-8")).values():
            assert not re.search(r'(["\s]|\.\.?)/[a-z]', record), study


def test_a_pair_is_held_against_the_sum_of_its_parts() -> None:
    """Against the records themselves, by scipy: FreezeOut with TrivialAugment, whose p is the smallest of fifteen."""
    name = "techniques-in-pairs-few-labels"
    errors: dict[str, dict[int, float]] = {}
    for path, record in json.loads((SCRIPT.RECORDS / f"{name}.json").read_text(encoding="utf-8")).items():
        if path.endswith("result.json"):
            _, variant, run, _ = path.split("/")
            result = json.loads(record)
            errors.setdefault(variant, {})[int(run.split("-")[1])] = result["metrics"]["test_error"]
    plain, one, other, both = (
        np.array([errors[variant][seed] for seed in range(10)])
        for variant in ("plain", "freezeout", "trivial-augment", "freezeout-and-trivial-augment")
    )
    more = both - one - other + plain
    low, high = scipy.stats.ttest_1samp(more, 0).confidence_interval(1 - 0.05 / 15)
    (row,) = (line for line in SCRIPT.sums(name).splitlines() if line.startswith("| freezeout and trivial-augment"))
    cells = row.strip("| ").split(" | ")
    assert cells[1:4] == [f"{values.mean():+.2f}" for values in (one + other - 2 * plain, both - plain, more)]
    assert cells[4:] == [f"{low:+.2f} to {high:+.2f}", "&lt;0.001", "more than the sum"]
    undecided = next(line for line in SCRIPT.sums(name).splitlines() if line.startswith("| l-gm and mixup"))
    assert undecided.endswith("| 1.000 | undecided |")
