"""A study file made again from study.json says what the plan says."""

import tomllib
from typing import Any

import pytest

from truelift.report.study_form import study_file

PLAN: dict[str, Any] = {
    "name": "s",
    "question": "?",
    "baseline": "plain",
    "metric": "train_seconds",
    "higher_is_better": False,
    "smallest_effect": 0.0,
    "source": "s.toml",
    "seeds": [0, 1, 2],
    "shared": {},
    "variants": {"plain": {"settings": {}, "command": None}},
}


def again(**changed: Any) -> dict[str, Any]:
    made = study_file(PLAN | changed)
    assert made is not None
    return tomllib.loads(made)


@pytest.mark.parametrize(
    ("limit", "told"), [(1e-7, "0.0000001 %"), (3.0, "3 %"), (0.1 + 0.2, "0.30000000000000004 %"), (2e20, None)]
)
def test_a_limit_in_percent_is_the_plans_own(limit: float, told: str | None) -> None:
    guard = {"limit": limit, "unit": "percent of baseline", "higher_is_better": False, "relative": True}
    written = again(guards={"test_loss": guard})["guards"]["test_loss"]["limit"]
    assert float(written.removesuffix(" %")) == limit
    assert "e" not in written
    assert told in (None, written)


def test_folds_take_the_place_of_seeds_whatever_else_a_plan_says() -> None:
    until = {"max_seeds": 5, "looks": [3, 5], "alpha": 0.05}
    for plan in ({"folds": 5}, {"folds": 5, "until_decided": until}):
        made = again(**plan)
        assert (made["replicates"], made["folds"], "seeds" in made) == ("folds", 5, False)
    assert again()["seeds"] == [0, 1, 2]
    assert "seeds" not in again(until_decided=until)
