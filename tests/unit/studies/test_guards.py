from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.records import Study, write_json
from truelift.report.asked import read_asked
from truelift.studies.study_file import read_plan

STUDY = """
metric = "train_seconds"
seeds = 3
{keys}
[experiment]
data.name = "digits"
epochs = 1
[variants]
a = {{}}
b = {{ model.last_relu = false }}
c = {{ optimizer.lr = 0.01 }}
d = {{ optimizer.lr = 0.02 }}
"""
PROGRAM = """
metric = "dice"
higher_is_better = true
command = "python x.py --seed {{seed}} --out {{out}} {{args}}"
{keys}
[variants]
a = {{}}
b = {{ args = "--b" }}
"""


def written(folder: Path, keys: str, text: str = STUDY) -> Path:
    path = folder / "study.toml"
    path.write_text(text.format(keys=keys))
    return path


def test_guards_reach_the_report_through_the_record(tmp_path: Path) -> None:
    keys = 'guards = { test_error = "3 %", test_accuracy = 0.5 }\npooling = "guarded"'
    plan = read_plan(written(tmp_path, keys))
    assert [(g.metric.name, g.most, g.metric.unit, g.metric.relative) for g in plan.guards] == [
        ("test_error", 3.0, "percent of baseline", True),
        ("test_accuracy", 0.5, "points", False),
    ]
    write_json(tmp_path / "study.json", plan.record("truelift study", "2026-01-01T00:00:00+00:00"))
    asked = read_asked(Study.read(tmp_path).plan)
    assert (asked.guards, asked.pooling) == (plan.guards, "guarded")
    assert asked.reached.name == "test_error"  # what a saving of time is set against
    assert not asked.reached.relative


def test_trainings_of_ours_write_points_and_a_programs_scale_is_what_it_says(tmp_path: Path) -> None:
    ours = read_plan(written(tmp_path, ""))
    assert ours.metric.scale is None  # a time
    assert read_plan(written(tmp_path, 'scale = "fraction"', PROGRAM)).metric.unit == "points"
    assert read_plan(written(tmp_path, "", PROGRAM)).metric.scale is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("guards = { test_error = -1 }", "guards.test_error must be a number of at least 0"),
        ('guards = { test_error = "much" }', "guards.test_error must be a number of at least 0, or percent"),
        ("guards = { train_seconds = 1 }", "guards must be other metrics than the study's own, got train_seconds"),
        ("guards = { dice = 1 }", "higher_is_better must be given"),
        ("guards = { test_error = { limit = 1, limt = 2 } }", 'Did you mean "limit"'),
        ('pooling = "all"', 'unknown pooling "all"'),
        ('scale = "percent"', 'unknown scale "percent"'),
        ('scale = "fraction"', 'scale must be "none" for train_seconds'),
    ],
)
def test_bad_keys_are_named(tmp_path: Path, keys: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_plan(written(tmp_path, keys))
    assert message in str(error.value)


def test_pooling_needs_three_variants(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be at least 3"):
        read_plan(written(tmp_path, 'pooling = "guarded"', PROGRAM))
