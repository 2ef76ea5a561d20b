"""Pairs on unlike devices: flagged, and no time is judged by them."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.records import Study
from truelift.report import summarise
from truelift.report.all_studies import overviews
from truelift.report.listed import verdicts
from truelift.report.standing import standing


def ran_on(folder: Path, variant: str, seed: int, **facts: object) -> None:
    path = folder / "runs" / variant / f"seed-{seed}-00000000" / "environment.json"
    path.write_text(json.dumps({"torch": "2", "device": "cpu", "processor": "P1", "threads": 1, **facts}))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """All on one processor, but for two of `better`'s runs."""
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5)
    for variant in ACCURACY:
        for seed in range(5):
            ran_on(folder, variant, seed)
    ran_on(folder, "better", 1, device="H100")
    ran_on(folder, "better", 3, device="H100", processor="P2")
    return folder


def test_pairs_on_unlike_devices_are_flagged(mixed: Path) -> None:
    summary = summarise(Study.read(mixed))
    assert summary.notes == (
        "better: seeds 1, 3: it ran on H100, the baseline on P1 with 1 thread. These runs may differ from the "
        "baseline's for that alone, and their times are not compared.",
    )
    row = next(row for row in summary.rows if row.variant == "better")
    assert np.isfinite(row.values).all()  # accuracies are judged all the same
    assert "train_seconds" not in summary.others
    assert sum(summary.seconds.values()) == 3 * sum(10.0 + seed for seed in range(5))


def test_a_time_is_not_judged_by_them(mixed: Path) -> None:
    plan = json.loads((mixed / "study.json").read_text())
    plan |= {"metric": "train_seconds", "unit": "percent of baseline", "higher_is_better": False, "relative": True}
    (mixed / "study.json").write_text(json.dumps(plan))
    summary = summarise(Study.read(mixed))
    rows = {row.variant: row for row in summary.rows}
    assert np.isnan(rows["better"].values).tolist() == [False, True, False, True, False]
    assert np.isfinite(rows["a_b"].values).all()
    assert len(summary.problems) == 1
    assert "left out of a time: it ran on H100, the baseline on P1 with 1 thread" in summary.problems[0]
    # The lists of studies judge as the report does.
    wanted = {name: (c.verdict, c.seeds) for name, row in rows.items() if (c := row.comparison) is not None}
    found = standing(Study.read(mixed)).comparisons
    assert {name: (c.verdict, c.seeds) for name, c in found.items()} == wanted
    (overview,) = overviews(mixed.parent)
    assert dict(overview.verdicts) == verdicts(Study.read(mixed)) == {name: told for name, (told, _) in wanted.items()}


@pytest.mark.parametrize(
    ("facts", "like"),
    [
        ({"processor": "P2"}, False),
        ({"threads": 2}, False),
        ({"torch": "3"}, True),
        ({"platform": "another"}, True),
        ({"compiled": True}, False),
        ({"compiled": False}, True),
        ({"cuda_graphs": True}, False),
        ({"precision": "bf16"}, False),
        ({"precision": "fp32"}, True),
        ({"cuda_graphs": "there are two tasks"}, True),
    ],
)
def test_what_makes_a_device(tmp_path: Path, facts: dict[str, object], like: bool) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 3)
    for variant in ACCURACY:
        for seed in range(3):
            ran_on(folder, variant, seed, **(facts if (variant, seed) == ("a_b", 2) else {}))
    assert (summarise(Study.read(folder)).notes == ()) == like


def test_programs_tell_their_processor(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 3)
    for variant in ACCURACY:
        for seed in range(3):
            path = folder / "runs" / variant / f"seed-{seed}-00000000" / "environment.json"
            path.write_text(json.dumps({"processor": "P2" if (variant, seed) == ("better", 1) else "P1"}))
    (note,) = summarise(Study.read(folder)).notes
    assert note.startswith("better: seed 1: it ran on P2, the baseline on P1.")


def test_runs_that_tell_nothing_are_like(tmp_path: Path) -> None:
    assert summarise(Study.read(make_study(tmp_path / "made", dict(ACCURACY), 3))).notes == ()


@pytest.mark.parametrize(("settings", "judged"), [({}, [0, 2]), ({"compile": True}, [0, 1, 2])])
def test_compiled_is_no_pair_with_eager_but_where_that_is_compared(
    tmp_path: Path, settings: dict[str, object], judged: list[int]
) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 3)
    for variant in ACCURACY:
        for seed in range(3):
            ran_on(folder, variant, seed, compiled=(variant, seed) == ("better", 1))
    plan = json.loads((folder / "study.json").read_text())
    plan["variants"]["better"]["settings"] |= settings
    plan |= {"metric": "train_seconds", "unit": "percent of baseline", "higher_is_better": False, "relative": True}
    (folder / "study.json").write_text(json.dumps(plan))
    summary = summarise(Study.read(folder))
    row = next(row for row in summary.rows if row.variant == "better")
    assert np.flatnonzero(np.isfinite(row.values)).tolist() == judged
    assert ("P1 with 1 thread (compiled), the baseline on P1 with 1 thread" in str(summary.problems)) == (not settings)


def test_what_a_variant_sets_is_what_is_compared(tmp_path: Path) -> None:
    """A compiled training is none recorded as CUDA graphs: where `compile` varies, neither makes a pair unlike."""
    folder = make_study(tmp_path / "made", dict(ACCURACY), 3)
    plan = json.loads((folder / "study.json").read_text())
    for variant in plan["variants"].values():
        variant["settings"]["compile"] = True
    (folder / "study.json").write_text(json.dumps(plan))
    for variant in ACCURACY:
        for seed in range(3):
            forms = {"compiled": True, "cuda_graphs": "the network is compiled"} if variant == "a_b" else {}
            ran_on(folder, variant, seed, **{"compiled": False, "cuda_graphs": True, **forms})
    assert summarise(Study.read(folder)).notes == ()


def test_runs_that_shared_a_gpu_are_told(mixed: Path) -> None:
    for variant in ACCURACY:
        for seed in range(5):
            ran_on(mixed, variant, seed, device="H100", **({"runs_a_gpu": 3 + seed} if seed else {}))
    assert summarise(Study.read(mixed)).notes == (
        f"{4 * len(ACCURACY)} of {5 * len(ACCURACY)} runs shared their GPU, up to 7 at a time: their times hang on "
        "what the others did meanwhile, and compare only roughly.",
    )
