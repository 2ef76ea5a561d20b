import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from truelift.errors import InputError
from truelift.verdicts import Requirement, compare_unpaired, met, welch
from truelift.verdicts.unpaired import probability_better

RNG = np.random.default_rng(0)
SAMPLES = [(RNG.normal(90, 0.3, n), RNG.normal(90.4, sd, k)) for n, k, sd in ((3, 3, 0.3), (5, 9, 1.0), (12, 2, 0.1))]


@pytest.mark.parametrize("sample", range(len(SAMPLES)))
def test_welch_is_scipys(sample: int) -> None:
    ours, theirs = SAMPLES[sample]
    expected = stats.ttest_ind(theirs, ours, equal_var=False)
    found = welch(ours, theirs)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.degrees == pytest.approx(expected.df)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_welch_by_hand() -> None:
    found = welch([0, 2], [3, 5, 7])  # variances 2 and 4: se² = 2/2 + 4/3
    assert found.difference == 4
    assert found.error**2 == pytest.approx(7 / 3)
    assert found.degrees == pytest.approx((7 / 3) ** 2 / (1 / 1 + (4 / 3) ** 2 / 2))


def test_a_variance_is_never_below_that_of_rounding() -> None:
    assert welch([1, 1], [2, 2]).interval() is None
    assert welch([1, 1], [2, 2], resolution=1.0).error ** 2 == pytest.approx(2 * (1 / 12) / 2)
    with pytest.raises(InputError, match="2 finite numbers or more"):
        welch([1], [2, 3])


def test_verdicts_with_holms_correction() -> None:
    base = SAMPLES[1][0]
    variants = {"far": base[:4] + 5, "near": base[:3] + 0.01, "one": base[:1], "none": np.full(3, np.nan)}
    found = compare_unpaired(base, variants, higher_is_better=True, unit="points")
    assert {name: c.verdict for name, c in found.items()} == {
        "far": "helps",
        "near": "undecided",
        "one": "undecided",
        "none": "undecided",
    }
    p = found["far"].p_value
    assert p is not None
    assert found["far"].p_adjusted == pytest.approx(2 * p)  # of two tests
    assert found["far"].difference == pytest.approx(np.mean(base[:4] + 5) - base.mean())
    assert np.mean(found["far"].differences) == pytest.approx(found["far"].difference)
    assert (found["one"].ground, found["none"].ground) == ("one seed", "no pairs")
    lower = compare_unpaired(base, variants, higher_is_better=False)
    assert lower["far"].verdict == "hurts"


def test_relative_differences_are_in_percent_of_the_baseline() -> None:
    found = compare_unpaired([10, 10.2, 9.8], {"twice": [20, 20.4, 19.6]}, higher_is_better=False, relative=True)[
        "twice"
    ]
    assert found.difference == pytest.approx(100)
    assert found.baseline_mean == pytest.approx(10)
    assert found.variant_mean == pytest.approx(20)
    assert found.verdict == "hurts"


def test_a_null_study_is_decided_by_chance_alone() -> None:
    rng = np.random.default_rng(1)
    studies = 2000
    false = sum(
        compare_unpaired(rng.normal(size=5), {"v": rng.normal(0, 3, size=5)}, higher_is_better=True)["v"].verdict
        in ("helps", "hurts")
        for _ in range(studies)
    )
    assert 0.035 <= false / studies <= 0.065


def test_probability_better_over_all_pairs() -> None:
    assert probability_better([1, 2], [2, 3, 0], higher_is_better=True) == pytest.approx((1.5 + 2 + 0) / 6)
    assert probability_better([1, 2], [2, 3, 0], higher_is_better=False) == pytest.approx((0.5 + 0 + 2) / 6)


@pytest.mark.parametrize(
    ("requirement", "verdicts", "expected"),
    [
        ("helps", ["helps"], "holds"),
        ("helps", ["helps", "undecided"], "undecided"),
        ("helps", ["undecided", "hurts"], "fails"),
        ("helps", ["no effect"], "fails"),
        ("not-hurts", ["helps", "no effect"], "holds"),
        ("not-hurts", ["undecided"], "undecided"),
        ("not-hurts", ["hurts", "helps"], "fails"),
        ("no-effect", ["no effect"], "holds"),
        ("no-effect", ["helps"], "fails"),
    ],
)
def test_requirements(requirement: Requirement, verdicts: list[str], expected: str) -> None:
    assert met(requirement, verdicts) == expected


def test_no_effect_where_the_interval_lies_within_the_smallest_effect() -> None:
    base, variant = SAMPLES[0][0], SAMPLES[0][0][::-1] + 0.01
    found = compare_unpaired(base, {"v": variant}, higher_is_better=True, smallest_effect=5.0)["v"]
    assert (found.verdict, found.ground) == ("no effect", "equivalent")
    assert found.interval is not None
    assert -5 < found.interval[0] < found.interval[1] < 5
    assert found.interval == pytest.approx(welch(base, variant).interval())
    tight = compare_unpaired(base, {"v": variant}, higher_is_better=True, smallest_effect=0.02)["v"]
    assert tight.verdict == "undecided"


def test_failed_runs_count_as_the_worst() -> None:
    base, variant = [90.0, 90.2, 90.1, 90.3], [91.0, 91.2, 91.1, np.nan]
    args: dict[str, Any] = {"higher_is_better": True}
    assert compare_unpaired(base, {"v": variant}, **args)["v"].verdict == "helps"
    found = compare_unpaired(base, {"v": variant}, **args, failed={"v": [False, False, False, True]})["v"]
    assert found.with_failures is not None
    assert (found.with_failures.runs, found.verdict, found.ground) == (1, "undecided", "failures")


def test_numbers_without_noise_are_never_decided_by_more_runs() -> None:
    found = compare_unpaired([5] * 7, {"v": [6] * 7}, higher_is_better=True, may_be_constant=True)["v"]
    assert (found.ground, found.more_seeds) == ("no spread", None)
    told = "All runs of each gave one number, +1 apart, so there is no noise to hold it against"
    assert found.reason == f"{told}: more runs decide nothing, pairs of runs under one seed can."


@pytest.mark.parametrize(
    ("variant", "ground"),
    [
        ([], "no pairs"),
        ([1.0], "one seed"),
        ([1.0, 2.0], "two seeds"),
        ([1.0, 2.1, 3.2], "too wide"),
        ([11.0, 12.0, 13.0], "more than noise"),
    ],
)
def test_runs_that_are_no_pairs_are_not_told_as_seeds(variant: list[float], ground: str) -> None:
    found = compare_unpaired([1, 2, 3], {"v": variant}, higher_is_better=True)["v"]
    assert (found.ground, found.replicates) == (ground, "runs")
    assert " run" in found.reason.lower()
    assert not re.search(r"seeds?(?! noise)", found.reason)


UP = 0.1 + 0.2  # 0.30000000000000004


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "ground"),
    [
        ([90.10000000000001, 90.1, 90.10000000000001], [90.1] * 3, "no difference"),
        ([90.1, 90.10000000000001, 90.1], [90.4] * 3, "no spread"),
        ([UP, 0.3, 0.3], [2.5] * 3, "no spread"),
        ([1.0, 1.0000000000000002, 1.0], [1.0] * 3, "no difference"),
    ],
)
def test_the_last_bit_is_no_noise(
    one: list[float], other: list[float], ground: str, turned: bool, relative: bool
) -> None:
    base, variant = (other, one) if turned else (one, other)
    asked: dict[str, Any] = {"higher_is_better": False, "relative": relative, "smallest_effect": 5.0}
    found = compare_unpaired(base, {"v": variant}, **asked)["v"]
    assert (found.verdict, found.ground) == ("undecided", "constant baseline")
    found = compare_unpaired(base, {"v": variant}, **asked, may_be_constant=True)["v"]
    assert (found.verdict, found.ground, found.interval) == ("undecided", ground, None)
    assert (found.baseline_sd, found.variant_sd) == (0, 0)
    assert found.difference == 0 or ground == "no spread"
    tested = welch(base, variant)
    assert tested.error == 0
    assert tested.difference == 0 or ground == "no spread"


def test_an_interval_narrower_than_its_numbers_can_tell() -> None:
    variants = {"v": [1e9] * 3}
    found = compare_unpaired([1e-9, 2e-9, 3e-9], variants, higher_is_better=True, smallest_effect=2e9)["v"]
    assert found.interval == (1e9, 1e9)
    assert found.reason.startswith("Real (p < 0.001), but no effect as large as 2,000,000,000: the 95 % interval is +1")
