"""A study whose replicates are folds: its plan, what it refuses, and its report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.report.test_predicted import study

from truelift.cli.plan import _told
from truelift.errors import InputError
from truelift.records import Study, read_result, write_json
from truelift.report import summarise
from truelift.report.json_form import report_form
from truelift.report.markdown import markdown
from truelift.studies.study_file import read_plan
from truelift.verdicts.folds import corrected_t_p_value

FILE = """
replicates = "folds"
folds = 4
[experiment]
model = "small-cnn"
[variants.plain]
[variants.wide]
optimizer.lr = 0.2
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "s.toml"
    path.write_text(text)
    return path


def test_each_run_holds_out_its_fold(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, FILE))
    assert plan.seeds == (0, 1, 2, 3)
    for run in plan.runs():
        assert run.experiment is not None
        assert (run.experiment.data.folds, run.experiment.data.fold, run.experiment.seed) == (4, run.seed, run.seed)
    assert len({run.folder for run in plan.runs()}) == 8
    record = plan.record("truelift study s.toml", "now")
    assert record["folds"] == 4
    assert "4 folds each, 8 runs, judged once" in _told(plan)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("folds = 4", "folds = 4\nseeds = 5", "seeds must be left out with folds"),
        ("folds = 4", "folds = 4\nuntil_decided = {max_seeds = 9}", "until_decided must be left out with folds"),
        ("folds = 4", "folds = 2", "folds must be at least 3, got 2"),
        ("folds = 4", "", 'folds must be given with replicates = "folds"'),
        ('replicates = "folds"', "", 'folds must be left out without replicates = "folds"'),
        ('"folds"', '"fold"', 'Did you mean "folds"'),
        ('"folds"', '"runs"', 'unknown replicates "runs"'),
        ('model = "small-cnn"', "data.fold = 1", 'data.fold must be left out with replicates = "folds"'),
        ('model = "small-cnn"', "data.test_images = 100", "data.test_images must be left out with folds"),
        ("optimizer.lr = 0.2", 'command = "python x.py {seed} {out}"', "folds are for truelift's own trainings"),
        ("[experiment]", '[published.plain]\nvalue = 90\nsource = "x"\n[experiment]', "published must be left out"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_plan(written(tmp_path, FILE.replace(old, new)))


def test_pooling_is_refused(tmp_path: Path) -> None:
    more = "[variants.b]\noptimizer.lr = 0.3\n[variants.c]\noptimizer.lr = 0.4\n"
    text = FILE.replace("folds = 4", 'folds = 4\npooling = "guarded"') + more
    with pytest.raises(InputError, match="pooling must be left out with folds"):
        read_plan(written(tmp_path, text))


def folded(folder: Path, sizes: dict[str, Any]) -> Study:
    """A finished study over 4 folds, whose runs tell these numbers of images."""
    study(folder, plan={"folds": 4})
    for run in Study.read(folder).runs:
        write_json(run.folder / "result.json", {**read_result(run.folder), **sizes})
    return Study.read(folder)


@pytest.mark.parametrize(
    ("sizes", "ratio"), [({}, 1 / 3), ({"train_images": 1000, "test_images": 500}, 0.5)], ids=["unknown", "told"]
)
def test_the_report_is_of_the_corrected_test(tmp_path: Path, sizes: dict[str, int], ratio: float) -> None:
    summary = summarise(folded(tmp_path, sizes))
    baseline, variant = (np.array(row.values) for row in summary.rows)
    found = summary.rows[1].comparison
    assert found is not None
    resolution = 100 / 1420  # test images
    assert found.p_value == pytest.approx(corrected_t_p_value(variant - baseline, ratio, resolution=resolution))
    assert summary.rows[1].example_error is None  # although the labels of all folds are equal here
    assert report_form(summary, []).replicates == "folds"
    text = markdown(summary)
    for told in ("Nadeau and Bengio's corrected t", "4 folds of one data set", "over folds"):
        assert told in text
    assert "over paired seeds" not in text
    assert "Other seeds" not in text
