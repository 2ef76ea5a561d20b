"""How often few seeds say what many say, on studies whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

import truelift
from tests.docs.blocks import ci_script
from truelift.errors import InputError

SCRIPT = ci_script("agreement", "benchmarks")


def train(seed: int, *, shift: float, noise: float) -> dict[str, float]:
    shared, own = np.random.default_rng(seed).normal(size=2)
    return {"test_error": 20 + shared + shift + noise * own}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three variants: better beyond doubt, worse by little more than a standard deviation, and without effect."""
    folder = tmp_path_factory.mktemp("agreement") / "known"
    variants = {
        "plain": {"shift": 0.0, "noise": 0.0},
        "much-better": {"shift": -5.0, "noise": 0.1},
        "worse": {"shift": 1.0, "noise": 0.7},
        "alike": {"shift": 0.0, "noise": 0.1},
    }
    truelift.compare(train, variants=variants, seeds=12, folder=folder, smallest_effect=0.5, quiet=True)
    return folder


def test_all_seeds_drawn_are_the_whole(study: Path) -> None:
    seen = SCRIPT.read(study)
    found = SCRIPT.drawn(seen, 12, 12, 1, np.random.default_rng(0))
    whole = [("much-better", "helps"), ("worse", "hurts"), ("alike", "no effect")]
    assert [(name, many) for name, _, many in found] == whole
    assert all(SCRIPT.kind(few, many) == "same" for _, few, many in found)


def test_few_seeds_find_the_large_effect_and_miss_the_small_one(study: Path) -> None:
    found = SCRIPT.drawn(SCRIPT.read(study), 3, 12, 40, np.random.default_rng(0))
    assert len(found) == 3 * 40
    kinds = {name: [SCRIPT.kind(few, many) for which, few, many in found if which == name] for name, _, _ in found}
    assert kinds["much-better"].count("same") == 40
    assert kinds["worse"].count("missed") > 20
    assert SCRIPT.shown(found).splitlines()[0] == "  much-better: helps; by few seeds helps 100.0%"


def test_a_draw_is_judged_as_a_study_of_its_seeds_would_be(study: Path, tmp_path: Path) -> None:
    settings = {"plain": {"shift": 0.0, "noise": 0.0}, "worse": {"shift": 1.0, "noise": 0.7}}
    alone = truelift.compare(
        train, variants=settings, seeds=[1, 4, 7], folder=tmp_path / "s", smallest_effect=0.5, quiet=True
    )
    both = {name: {**settings, "other": {"shift": 9.0, "noise": 0.1}}[name] for name in (*settings, "other")}
    with_other = truelift.compare(
        train, variants=both, seeds=[0, 1, 4, 7], folder=tmp_path / "o", smallest_effect=0.5, quiet=True
    )
    assert SCRIPT.verdicts(SCRIPT.read(tmp_path / "o"), [1, 4, 7])["worse"] == alone.verdicts["worse"]
    assert with_other.verdicts.keys() == {"worse", "other"}


@pytest.mark.parametrize(
    ("few", "many", "kind"),
    [
        ("helps", "helps", "same"),
        ("helps", "undecided", "helps_alone"),
        ("hurts", "no effect", "hurts_alone"),
        ("hurts", "helps", "reversed"),
        ("undecided", "hurts", "missed"),
        ("no effect", "helps", "called_no_effect"),
        ("undecided", "no effect", "no_effect_open"),
    ],
)
def test_kinds(few: str, many: str, kind: str) -> None:
    assert SCRIPT.kind(few, many) == kind


def test_too_few_seeds_are_refused(study: Path) -> None:
    with pytest.raises(InputError, match="known must have 20 seeds with a result of every variant, got 12"):
        SCRIPT.drawn(SCRIPT.read(study), 5, 20, 1, np.random.default_rng(0))
