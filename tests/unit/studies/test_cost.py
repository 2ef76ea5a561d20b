"""A dry run and the study go through the same checks, and mean the same runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.records import write_json
from truelift.report.standing import decide
from truelift.studies.cost import study_cost
from truelift.studies.executors.local import Local
from truelift.studies.folders import by_folder
from truelift.studies.how import How
from truelift.studies.plan import StudyPlan
from truelift.studies.study import run_study
from truelift.studies.study_file import read_plan

STUDY = """
command = "./p.sh {seed} {out} {args}"
metric = "val_accuracy"
smallest_effect = 0.5
until_decided = { max_seeds = 6 }
[variants.a]
[variants.b]
args = "2"
"""
NOISE = [0.0, 0.11, -0.12, 0.05, -0.02, 0.15]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyPlan:
    """A study until decided, of which b is decided by three seeds."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(STUDY)
    Path("p.sh").write_text("#!/bin/sh\nexit 3\n")
    Path("p.sh").chmod(0o755)
    plan = read_plan(Path("study.toml"))
    for path, run in by_folder(plan, Path("out")).items():
        if run.seed < 3:
            value = 90 + NOISE[run.seed] + (run.variant == "b") * (3 + NOISE[-run.seed])
            write_json(path / "result.json", {"metrics": {"val_accuracy": value}, **run.identity})
    return plan


def ran(plan: StudyPlan) -> list[str]:
    """The runs that the study ends."""
    ended: list[str] = []
    run_study(
        plan,
        Path("out"),
        How(executor=Local(1, 1)),
        repeat="",
        report_run=lambda run, *_: ended.append(f"{run.variant}{run.seed}"),
        warn=print,
        decide=decide,
    )
    return ended


def test_a_decided_study_has_nothing_to_come(plan: StudyPlan) -> None:
    cost = study_cost(plan, Path("out"), How(), decide=decide)
    assert (cost.done, cost.to_run, cost.seconds, cost.notes) == (6, {}, 0.0, ())
    assert not Path("out/study.json").exists()
    assert ran(plan) == []
    Path("p.sh").unlink()
    again = study_cost(plan, Path("out"), How(), decide=decide)
    assert replace(again, disk_free=cost.disk_free) == cost
    assert ran(plan) == []


def test_what_goes_on_is_counted_and_what_failed_ahead_of_it_is_not(plan: StudyPlan) -> None:
    of = {(run.variant, run.seed): path for path, run in by_folder(plan, Path("out")).items()}
    write_json(of["b", 3] / "failure.json", {"reason": "broke"})
    assert study_cost(plan, Path("out"), How(), decide=decide).to_run == {}
    (of["b", 2] / "result.json").unlink()
    assert study_cost(plan, Path("out"), How(), decide=decide).to_run == {"a": 3, "b": 4}


def test_the_dry_run_refuses_what_the_study_refuses(plan: StudyPlan) -> None:
    ran(plan)
    with pytest.raises(InputError, match="checkpoint_seconds must be at least 0"):
        study_cost(plan, Path("out"), How(checkpoint_seconds=-5))
    for other in (replace(plan, looks=None), replace(plan, scale="quick")):
        with pytest.raises(InputError) as raised:
            ran(other)
        with pytest.raises(InputError) as dry:
            study_cost(other, Path("out"), How())
        assert str(dry.value) == str(raised.value)
