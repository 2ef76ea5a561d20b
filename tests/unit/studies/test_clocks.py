"""What is said before a study whose times will say little."""

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
{guards}
[variants.plain]
[variants.other]
optimizer.lr = 0.2
"""
TWO_GPUS = ("0", "1")


def plan(folder: Path, metric: str, guards: str = "") -> StudyPlan:
    (folder / "study.toml").write_text(FILE.format(metric=metric, guards=guards))
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
    ("metric", "guards", "judged"),
    [
        ("train_seconds", "", "train_seconds"),
        ("images_per_second", "", "images_per_second"),
        ("test_accuracy", 'guards = { train_seconds = "10 %" }', "train_seconds"),
    ],
)
def test_runs_that_share_the_cores(tmp_path: Path, metric: str, guards: str, judged: str) -> None:
    (line,) = times_that_mislead(plan(tmp_path, metric, guards), Local(2, 1), {})
    assert line == f"{judged} is judged, and 2 runs at a time slow each other down: --jobs 1 runs them one by one."


def test_a_programs_own_seconds(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        'baseline = "a"\nmetric = "epoch_seconds"\ncommand = "true {seed} {out} {args}"\n[variants.a]\n[variants.b]\n'
        'args = "--x"\n'
    )
    (line,) = times_that_mislead(read_plan(file), Local(2, 1), {})
    assert line.startswith("epoch_seconds is judged, and 2 runs at a time slow each other down")


@pytest.mark.parametrize(
    ("metric", "local", "unrecorded"),
    [
        ("test_error", Local(8, 1, TWO_GPUS), {"plain": "", "other": "there are two tasks"}),
        ("train_seconds", Local(1, 1), {"plain": "it is no CUDA GPU", "other": "it is no CUDA GPU"}),
        ("test_error", Local(8, 1), {}),
        ("cpu_seconds", Local(8, 1), {}),
        ("train_seconds", Local(2, 1, TWO_GPUS), {"plain": "", "other": ""}),
        ("train_seconds", Local(2, 1, TWO_GPUS), {"plain": "as set", "other": "as set"}),
    ],
)
def test_nothing_where_times_will_do(tmp_path: Path, metric: str, local: Local, unrecorded: dict[str, str]) -> None:
    assert times_that_mislead(plan(tmp_path, metric), local, unrecorded) == []
