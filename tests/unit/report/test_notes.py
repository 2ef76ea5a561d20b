"""Notes about the runs' records."""

from pathlib import Path

import pytest
from tests.unit.report.conftest import make_study

from truelift.records import Study, read_environment, read_result, write_json
from truelift.report import summarise

PART = "unknown, of an earlier version, which may have taken a fifth of them"


@pytest.mark.parametrize(
    ("digests", "told"),
    [
        (["aa", "aa"], None),
        ([None, None], None),
        (["aa", "bb"], "aa in base seed 0; bb in base seed 1"),
        ([None, "bb"], f"{PART} in base seed 0; bb in base seed 1"),
    ],
)
def test_outliers_that_changed_between_runs_are_told(
    tmp_path: Path, digests: list[str | None], told: str | None
) -> None:
    study = make_study(tmp_path, {"base": [90.0, 91.0], "better": [92.0, 93.0]}, 2)
    for seed, digest in enumerate(digests):
        run = tmp_path / "runs" / "base" / f"seed-{seed}-00000000"
        metrics = {**read_result(run)["metrics"], "outlier_auroc": 80.0}
        write_json(run / "result.json", {"metrics": metrics})
        if digest is not None:
            write_json(run / "environment.json", {**read_environment(run), "outliers": digest})
    summary = summarise(Study.read(study))
    beginning = "The outliers changed between runs, whose areas are not comparable then: "
    assert [note for note in summary.notes if "outliers" in note] == ([] if told is None else [f"{beginning}{told}."])
    assert len(summary.environments) == 1, "they are no machine's"
