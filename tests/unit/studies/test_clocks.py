"""What is said before a study on GPUs whose times will say little."""

from pathlib import Path

import pytest

from truelift.studies.clocks import times_that_mislead
from truelift.studies.executors.local import Local
from truelift.studies.plan import StudyPlan
from truelift.studies.study_file import read_plan

FILE = """
baseline = "plain"
metric = "{metric}"
seeds = 3
[variants.plain]
[variants.other]
optimizer.lr = 0.2
"""
TWO_GPUS = ("0", "1")


def plan(folder: Path, metric: str) -> StudyPlan:
    (folder / "study.toml").write_text(FILE.format(metric=metric))
    return read_plan(folder / "study.toml")


@pytest.mark.parametrize("metric", ["train_seconds", "images_per_second"])
def test_runs_that_share_a_gpu(tmp_path: Path, metric: str) -> None:
    (line,) = times_that_mislead(plan(tmp_path, metric), Local(3, 1, TWO_GPUS), {})
    assert line == f"{metric} is judged, and 3 runs at a time share 2 GPUs: with --jobs 2 each has one to itself."


def test_steps_of_unlike_forms(tmp_path: Path) -> None:
    unrecorded = {"plain": "", "other": "there are two tasks"}
    (line,) = times_that_mislead(plan(tmp_path, "train_seconds"), Local(2, 1, TWO_GPUS), unrecorded)
    assert "steps of other are not recorded as CUDA graphs (there are two tasks) while others are" in line
    assert line.endswith("With --no-cuda_graphs all are alike.")


@pytest.mark.parametrize(
    ("metric", "local", "unrecorded"),
    [
        ("test_error", Local(8, 1, TWO_GPUS), {"plain": "", "other": "there are two tasks"}),
        ("train_seconds", Local(8, 1), {"plain": "it is no CUDA GPU", "other": "it is no CUDA GPU"}),
        ("train_seconds", Local(2, 1, TWO_GPUS), {"plain": "", "other": ""}),
        ("train_seconds", Local(2, 1, TWO_GPUS), {"plain": "as set", "other": "as set"}),
    ],
)
def test_nothing_where_times_will_do(tmp_path: Path, metric: str, local: Local, unrecorded: dict[str, str]) -> None:
    assert times_that_mislead(plan(tmp_path, metric), local, unrecorded) == []
