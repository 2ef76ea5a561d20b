"""`truelift plan --like` of a study that ran here."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.cli.plan import plan
from truelift.errors import InputError
from truelift.report.json_form import PlanLikeForm
from truelift.verdicts import seeds_needed
from truelift.verdicts.scatter import scatter


def test_the_noise_of_ones_own_study_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_study(tmp_path, ACCURACY, 5)
    sds = [np.std(np.subtract(ACCURACY[name], ACCURACY["base"]), ddof=1) for name in ("better", "a_b")]
    assert plan(effect=0.2, like=str(folder), json=True) == 0
    told = msgspec.json.decode(capsys.readouterr().out, type=PlanLikeForm)
    assert (told.like, told.metric) == (str(folder), "test_accuracy")
    assert told.sd == pytest.approx(np.sqrt(np.mean(np.square(sds))))
    assert told.most_sd == pytest.approx(max(sds))
    assert (told.seeds, told.most_seeds) == (seeds_needed(0.2, told.sd), seeds_needed(0.2, told.most_sd))
    assert plan(effect=0.2, like=str(folder)) == 0
    words = capsys.readouterr().out
    assert words.startswith(f"{told.seeds} seeds per variant, or {told.most_seeds} with")
    assert f"in test accuracy of 0.2 points, 80% of the time, at a 5% level. In {folder} (2 variants, 5 seeds)" in words


def test_times_are_planned_in_percent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    time = {"metric": "train_seconds", "unit": "percent of baseline", "higher_is_better": False, "relative": True}
    folder = make_study(tmp_path, ACCURACY, 5, **time)
    with pytest.raises(InputError, match=r"like must be a study whose differences scatter, got "):
        plan(effect=5, like=str(folder))  # each seed takes as long under every variant
    for run in folder.glob("runs/better/*/result.json"):
        seed = int(run.parent.name.split("-")[1])
        run.write_text(run.read_text().replace(f'"train_seconds": {10.0 + seed}', f'"train_seconds": {9.0 + 2 * seed}'))
    assert plan(effect=5, like=str(folder)) == 0
    assert "of 5 percent of baseline, 80% of the time" in capsys.readouterr().out


def test_two_pairs_are_too_few(tmp_path: Path) -> None:
    folder = make_study(tmp_path, ACCURACY, 2)
    with pytest.raises(InputError, match=r"like must be a study with 3 complete pairs of a variant or more, got "):
        plan(effect=0.2, like=str(folder))


def test_no_fewer_seeds_are_advised_than_decide_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seeds_needed(3, 0.2) == 2
    assert plan(effect=3, sd=0.3) == 0
    assert [line[:8] for line in capsys.readouterr().out.splitlines()[:3]] == ["3 seeds "] * 3
    assert plan(effect=50, like=str(make_study(tmp_path, ACCURACY, 5))) == 0
    assert capsys.readouterr().out.startswith("3 seeds per variant, or 3 with")


@pytest.mark.parametrize("sd", [-1.0, 0.0])
def test_a_spread_that_cannot_be_is_told_as_it_was_given(sd: float) -> None:
    with pytest.raises(InputError, match=rf"^sd must be finite and above 0, got {sd}\.$"):
        plan(effect=1, sd=sd)


def test_variants_of_few_pairs_are_left_out() -> None:
    found = scatter([[1.0, 2.0, 3.0], [5.0, 9.0], [0.0, 0.0, 6.0, 6.0]])
    assert found is not None
    assert (found.variants, found.seeds) == (2, 3)
    assert (found.least, found.most) == pytest.approx((1.0, np.sqrt(12.0)))
    assert found.sd == pytest.approx(np.sqrt((1 + 12) / 2))
    assert scatter([[1.0, 2.0]]) is None
