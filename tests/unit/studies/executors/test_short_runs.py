"""How many runs a task makes, by what ended runs took."""

from pathlib import Path

import pytest
from tests.unit.studies.executors.test_slurm import runs

from truelift.records import write_json
from truelift.studies.executors.short_runs import mean_seconds, most_runs_a_task


@pytest.mark.parametrize(
    ("seconds", "count", "wanted"),
    [
        (None, 1000, 1),
        (60.0, 1000, 1),
        (59.0, 1000, 6),
        (1.0, 10_000, 300),
        (0.0, 10_000, 300),
        (1.0, 16, 1),
        (1.0, 17, 2),
    ],
)
def test_short_runs_fill_a_task(seconds: float | None, count: int, wanted: int) -> None:
    assert most_runs_a_task(seconds, count) == wanted


def test_what_ended_runs_took(tmp_path: Path) -> None:
    assert mean_seconds(tmp_path / "s") is None
    study = study_of(tmp_path / "s", 3)
    assert mean_seconds(study) is None
    finish(study, 0, 4.0)
    finish(study, 1, 8.0)
    assert mean_seconds(study) == 6.0


def study_of(study: Path, count: int) -> Path:
    """A planned study of a user's program."""
    there = runs(study, count)
    plan = {
        "name": "s",
        "question": "?",
        "metric": "accuracy",
        "unit": "points",
        "higher_is_better": True,
        "relative": False,
        "smallest_effect": 0.0,
        "baseline": "a",
        "seeds": list(range(count)),
        "variants": {"a": {"settings": {}, "command": "x"}, "b": {"settings": {}, "command": "x"}},
        "shared": {},
        "runs": [
            {"variant": "a", "seed": number, "folder": run.relative_to(study).as_posix()}
            for number, run in enumerate(there)
        ],
        "repeat": "truelift study s.toml",
        "created": "2026-01-01T00:00:00+00:00",
    }
    write_json(study / "study.json", plan)
    return study


def finish(study: Path, number: int, seconds: float) -> None:
    """Give a run its result."""
    run = study / "runs" / "a" / f"seed-{number}-00000000"
    told = {"metrics": {"accuracy": 80.0}, "command": "x {out}", "args": "", "seed": number, "wall_seconds": seconds}
    (run / "config.toml").write_text(f'command = "x {{out}}"\nargs = ""\nseed = {number}\n')
    write_json(run / "result.json", told)
