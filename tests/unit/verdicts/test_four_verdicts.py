"""No effect, guards, scale, failures, constant baselines, pooled noise and outlying runs."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from truelift.errors import InputError
from truelift.verdicts import (
    Guard,
    compare,
    dunnett_p_value,
    equivalence_p_value,
    holm,
    holm_levels,
    in_points,
    outlying_runs,
    step_down_dunnett,
)
from truelift.verdicts.compare_unpaired import compare_unpaired
from truelift.verdicts.pooled import dunnett_critical
from truelift.verdicts.power import power_paired_t
from truelift.verdicts.requirement import met
from truelift.verdicts.student import power_of

BASE = [90.0, 91.0, 92.0, 91.0, 90.0]
NOISE = np.array([0.1, -0.1, 0.2, -0.2, 0.0])


def shifted(by: float, scale: float = 1.0) -> list[float]:
    found: list[float] = (np.array(BASE) + by + scale * NOISE).tolist()
    return found


class TestNoEffect:
    def test_two_one_sided_tests_against_scipy(self) -> None:
        d = [0.3, -0.2, 0.5, 0.1, 0.0, 0.4]
        upper = stats.ttest_1samp(d, 1.0, alternative="less").pvalue
        lower = stats.ttest_1samp(d, -0.7, alternative="greater").pvalue
        assert equivalence_p_value(d, -0.7, 1.0) == pytest.approx(max(upper, lower))
        with pytest.raises(InputError, match="low must be below high, got 1 and 1"):
            equivalence_p_value(d, 1, 1)

    def test_the_interval_lies_within_the_smallest_effect_exactly_where_it_is_told(self) -> None:
        generator = np.random.default_rng(0)
        told = 0
        for _ in range(300):
            variant = (np.array(BASE) + generator.normal(0.2, 0.5, size=5)).tolist()
            found = compare(BASE, {"v": variant}, higher_is_better=True, smallest_effect=1.0)["v"]
            low, high = stats.ttest_rel(variant, BASE).confidence_interval(0.95)
            if found.verdict == "no effect":
                told += 1
                assert found.interval == pytest.approx((low, high))
                assert found.interval_confidence == pytest.approx(0.95)
                assert -1 < low < high < 1
            elif found.verdict == "undecided":
                assert not (low > -1 and high < 1)
        assert 50 < told < 290

    def test_the_point_estimate_alone_does_not_tell_it(self) -> None:
        found = compare(BASE, {"v": shifted(0.85)}, higher_is_better=True, smallest_effect=0.9)["v"]
        assert (found.verdict, found.ground) == ("undecided", "too small")

    def test_real_but_too_small(self) -> None:
        found = compare(BASE, {"v": shifted(0.3)}, higher_is_better=True, smallest_effect=1.0, unit="points")["v"]
        assert (found.verdict, found.ground) == ("no effect", "equivalent")
        assert found.reason.startswith("Real (p = 0.013), but no effect as large as 1 points: the 95 % interval is")

    def test_holm_over_the_variants(self) -> None:
        variants = {str(i): shifted(0.0, 1 + i) for i in range(4)}
        found = compare(BASE, variants, higher_is_better=True, smallest_effect=0.9)
        single = [compare(BASE, {"v": v}, higher_is_better=True, smallest_effect=0.9)["v"] for v in variants.values()]
        expected = holm([c.p_no_effect or 0.0 for c in single])
        assert [c.p_no_effect for c in found.values()] == pytest.approx(expected.tolist())

    def test_nothing_is_ruled_out_without_a_smallest_effect(self) -> None:
        assert compare(BASE, {"v": shifted(0.0)}, higher_is_better=True)["v"].p_no_effect is None

    def test_relative_margins_are_ratios(self) -> None:
        variant = (np.array(BASE) * np.exp(NOISE / 100)).tolist()
        found = compare(BASE, {"v": variant}, higher_is_better=False, relative=True, smallest_effect=1.0)["v"]
        logs = np.log(np.array(variant) / np.array(BASE))
        assert found.p_no_effect == pytest.approx(2 * equivalence_p_value(logs, math.log(0.99), math.log(1.01)))
        assert found.verdict == "no effect"


def test_holms_levels_by_hand() -> None:
    # 0.01 <= 0.05/3, 0.03 > 0.05/2: the second and third are held to 0.05/2, though 0.04 is below 0.05.
    assert holm_levels([0.04, 0.01, 0.03], 0.05).tolist() == pytest.approx([0.025, 0.05 / 3, 0.025])
    generator = np.random.default_rng(0)
    for p in generator.random((200, 4)) ** 3:
        assert ((p <= holm_levels(p, 0.05)) == (holm(p) <= 0.05)).all()


def test_intervals_agree_with_verdicts_among_several() -> None:
    generator = np.random.default_rng(1)
    for _ in range(200):
        variants = {str(i): (np.array(BASE) + generator.normal(0.8 * i, 1.0, 5)).tolist() for i in range(3)}
        for pooling in ("none", "guarded"):
            for c in compare(BASE, variants, higher_is_better=True, pooling=pooling).values():
                assert c.interval is not None
                assert (c.interval[0] > 0 or c.interval[1] < 0) == (c.verdict in ("helps", "hurts"))


class TestTooLittle:
    def test_two_seeds_decide_nothing(self) -> None:
        found = compare([1.0, 2.0], {"v": [101.0, 102.0001]}, higher_is_better=True)["v"]
        assert (found.verdict, found.ground) == ("undecided", "two seeds")

    def test_a_program_that_ignores_its_seed(self) -> None:
        found = compare([90.0] * 6, {"v": [90.1] * 6}, higher_is_better=True)["v"]
        assert (found.verdict, found.ground) == ("undecided", "constant baseline")
        assert "does the program use its seed?" in found.reason
        count = compare([90.0] * 6, {"v": [95.0] * 6}, higher_is_better=False, resolution=1, may_be_constant=True)["v"]
        assert count.verdict == "hurts"


class TestScale:
    FRACTIONS = ([0.795, 0.801, 0.798, 0.790], {"better": [0.899, 0.902, 0.897, 0.901]})

    def test_fractions_are_asked_for(self) -> None:
        options = {"higher_is_better": True, "smallest_effect": 0.5, "unit": "points"}
        with pytest.raises(InputError, match=r'write scale = "fraction" .* or scale = "points"'):
            compare(*self.FRACTIONS, **options)  # type: ignore[arg-type]
        told = compare(*self.FRACTIONS, scale="fraction", **options)["better"]  # type: ignore[arg-type]
        baseline, variants = self.FRACTIONS
        percent = compare([100 * x for x in baseline], {"better": [100 * x for x in variants["better"]]}, **options)  # type: ignore[arg-type]
        assert told.verdict == percent["better"].verdict == "helps"
        assert told.difference == pytest.approx(percent["better"].difference)

    def test_small_errors_in_points_are_what_the_scale_says(self) -> None:
        arms = in_points("test_error", ([0.4, 0.5], [0.3, math.nan]), "points")
        assert arms[0].tolist() == [0.4, 0.5]

    @pytest.mark.parametrize(
        ("arms", "scale", "message"),
        [
            (([0.8, 0.9], [80.0, 90.0]), None, "are not of one scale"),
            (([0.8, 90.0], [0.7, 0.6]), "fraction", 'must lie between 0 and 1 with scale = "fraction", got 90'),
            (([80.0, 190.0], [70.0, 60.0]), "points", 'must lie between 0 and 100 with scale = "points", got 190'),
            (([0.8],), "percent", 'unknown scale "percent"'),
        ],
    )
    def test_refuses(self, arms: tuple[list[float], ...], scale: str, message: str) -> None:
        with pytest.raises(InputError) as error:
            in_points("accuracy", arms, scale)  # type: ignore[arg-type]
        assert message in str(error.value)

    def test_errors_near_one_are_of_one_scale(self) -> None:
        assert len(in_points("error", ([0.9, 1.2], [1.5, 1.4]), None)) == 2


class TestGuards:
    SECONDS = ([100.0, 101.0, 99.0, 100.0, 102.0], {"fast": [79.0, 80.5, 78.5, 79.5, 80.0]})

    def judged(self, accuracy: list[float], limit: float) -> tuple[str, str]:
        guard = Guard(
            metric="test accuracy", limit=limit, higher_is_better=True, baseline=BASE, variants={"fast": accuracy},
            unit="points",
        )  # fmt: skip
        found = compare(*self.SECONDS, higher_is_better=False, relative=True, guards=[guard])["fast"]
        d = np.array(BASE) - np.array(accuracy)
        bound = d.mean() + stats.t.ppf(0.95, 4) * d.std(ddof=1) / math.sqrt(5)
        assert found.guards[0].at_most == pytest.approx(bound)
        assert found.guards[0].p_value == pytest.approx(stats.ttest_1samp(d, limit, alternative="less").pvalue)
        return found.verdict, found.reason

    def test_kept(self) -> None:
        verdict, reason = self.judged(shifted(-0.2), 0.5)
        assert verdict == "helps"
        assert (
            reason == "20.8 % less (20.2 to 21.4, 5 seeds); test accuracy costs at most 0.35 points (limit 0.5 points)."
        )

    def test_open(self) -> None:
        verdict, reason = self.judged(shifted(-0.2), 0.3)
        assert (verdict, "may get up to 0.35 points worse (limit 0.3 points)" in reason) == ("undecided", True)

    def test_broken(self) -> None:
        verdict, reason = self.judged(shifted(-2.0), 0.5)
        assert (verdict, reason.startswith("test accuracy gets 2 points worse (limit 0.5 points)")) == ("hurts", True)

    def test_large_costs_are_written_out(self) -> None:
        _, reason = self.judged(shifted(-149.6), 0.5)
        assert reason.startswith("test accuracy gets 150 points worse (limit 0.5 points)")

    def test_in_percent_of_the_baseline(self) -> None:
        error = [10.0, 10.5, 9.5, 10.0, 10.2]
        worse = [1.02 * e for e in error[:4]] + [1.021 * error[4]]
        options = {"metric": "test error", "higher_is_better": False, "baseline": error, "variants": {"fast": worse}}
        guard = Guard(limit=3.0, relative=True, unit="percent of baseline", **options)  # type: ignore[arg-type]
        found = compare(*self.SECONDS, higher_is_better=False, relative=True, guards=[guard])["fast"]
        logs = np.log(np.array(worse) / np.array(error))
        expected = stats.ttest_1samp(logs, math.log(1.03), alternative="less").pvalue
        assert found.guards[0].p_value == pytest.approx(expected)
        assert found.verdict == "helps"

    def test_a_guard_without_pairs_holds_nothing(self) -> None:
        nothing = {"fast": [math.nan] * 5}
        guard = Guard(metric="a", limit=1, higher_is_better=True, baseline=BASE, variants=nothing)
        assert compare(*self.SECONDS, higher_is_better=False, guards=[guard])["fast"].verdict == "undecided"


class TestFailures:
    def test_what_helps_only_without_its_failed_runs_is_undecided(self) -> None:
        variant = [91.1, 92.0, 93.2, math.nan, math.nan]
        failed = [False, False, False, True, True]
        plain = compare(BASE, {"v": variant}, higher_is_better=True)["v"]
        found = compare(BASE, {"v": variant}, higher_is_better=True, failed={"v": failed})["v"]
        assert (plain.verdict, found.verdict, found.ground) == ("helps", "undecided", "failures")
        second = found.with_failures
        assert second is not None
        filled = [91.1, 92.0, 93.2, 90.0, 90.0]  # the worst result of any run
        assert second.difference == pytest.approx(np.mean(np.array(filled) - np.array(BASE)))
        assert second.p_adjusted == pytest.approx(stats.ttest_rel(filled, BASE).pvalue)
        assert second.runs == 2

    def test_a_variant_that_failed_in_every_run_is_never_undecided(self) -> None:
        nothing, every = [math.nan] * 5, [True] * 5
        for test in (compare, compare_unpaired):
            found = test(BASE, {"v": nothing}, higher_is_better=True, failed={"v": every})["v"]
            assert (found.verdict, found.ground, found.reason) == ("failed", "all failed", "Failed in all 5 runs.")
            # One that has not ended may still have a result.
            open_yet = test(BASE, {"v": nothing}, higher_is_better=True, failed={"v": [True] * 4 + [False]})["v"]
            assert (open_yet.verdict, open_yet.ground) == ("undecided", "no pairs")
            other = test(nothing, {"v": BASE}, higher_is_better=True, baseline_failed=every)["v"]
            assert (other.verdict, other.ground) == ("undecided", "baseline failed")
            assert other.reason == "There is nothing to compare with, as the baseline failed in all 5 runs."
        assert met("not-hurts", ["helps", "failed"]) == "fails"

    def test_a_missing_run_is_no_failed_one(self) -> None:
        found = compare(BASE, {"v": [91.1, 92.0, 93.2, math.nan, math.nan]}, higher_is_better=True)["v"]
        assert found.with_failures is None


class TestPooled:
    def test_dunnett_against_simulation_and_student(self) -> None:
        assert dunnett_p_value(2.5, 1, 10) == pytest.approx(2 * stats.t.sf(2.5, 10), abs=1e-9)
        generator = np.random.default_rng(0)
        runs = generator.normal(size=(400_000, 4))
        s = np.sqrt(generator.chisquare(12, size=400_000) / 12)
        t = np.abs(runs[:, 1:] - runs[:, :1]).max(axis=1) / (math.sqrt(2) * s)
        assert dunnett_p_value(2.6, 3, 12) == pytest.approx(float((t >= 2.6).mean()), abs=0.002)
        assert dunnett_critical(0.05, 3, 16) == pytest.approx(2.59, abs=0.005)  # Dunnett's table

    def test_the_noise_by_hand(self) -> None:
        base, others = np.array([0.0, 1.0, 2.0]), np.array([[1.0, 2.0, 3.0], [0.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
        runs = np.vstack((base, others))
        residual = runs - runs.mean(0) - runs.mean(1)[:, None] + runs.mean()
        own = (others - base).var(axis=1, ddof=1).mean()
        expected = max(2 * (residual**2).sum() / 6, own)
        assert step_down_dunnett(base, others).standard_error == pytest.approx(math.sqrt(expected / 3))

    def test_both_must_decide(self) -> None:
        generator = np.random.default_rng(3)
        base = generator.normal(size=5)
        variants = {str(i): base + generator.normal(1.5, 1, 5) for i in range(3)}
        found = compare(base, variants, higher_is_better=True, pooling="guarded")
        pooled = step_down_dunnett(base, np.stack(list(variants.values())))
        for c, q in zip(found.values(), pooled.p_adjusted, strict=True):
            assert c.p_adjusted == pytest.approx(max(c.p_value or 0.0, q))
            # The pooled interval is Student's at this confidence, unless the variant's own at 95 % is wider.
            level = 1 - c.interval_confidence
            assert 0.05 / 3 < level < 0.0501
            assert c.pooled
            assert c.interval is not None
            own = float(np.std(c.differences, ddof=1)) / math.sqrt(5)
            halves = (stats.t.isf(level / 2, 12) * pooled.standard_error, stats.t.isf(0.025, 4) * own)
            assert c.interval[1] - c.difference == pytest.approx(max(halves))
            assert c.smallest_detectable is not None
            assert power_paired_t(c.smallest_detectable, own * math.sqrt(5), 5, 0.05) >= 0.7999
            assert power_of(c.smallest_detectable / pooled.standard_error, 12, level) >= 0.7999
        with pytest.raises(InputError, match="needs 3 variants or more, got 1"):
            compare(base, {"a": base}, higher_is_better=True, pooling="guarded")

    def test_it_is_told_where_a_run_is_missing(self) -> None:
        generator = np.random.default_rng(3)
        base = generator.normal(size=5)
        variants = {str(i): base + generator.normal(1.5, 1, 5) for i in range(3)}
        variants["2"][0] = np.nan
        found = compare(base, variants, higher_is_better=True, pooling="guarded")
        assert not any(c.pooled for c in found.values())
        assert found == compare(base, variants, higher_is_better=True)


def test_outlying_runs_are_named() -> None:
    found = outlying_runs({"a": BASE, "v": [90.5, 91.2, 30.0, 91.0, math.nan]})
    assert [(run.variant, run.index, run.value) for run in found] == [("v", 2, 30.0)]
    assert found[0].median == pytest.approx(90.75)
    assert outlying_runs({"a": BASE, "b": [80.0, 95.0]}) == ()


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("number", [90.1, 1.0])
def test_a_baseline_that_differs_in_the_last_bit_is_constant(number: float, relative: bool) -> None:
    base = [number, math.nextafter(number, 100), number, number]
    rising = [number + 1.3, number + 1.1, number + 1.2, number + 1.25]
    found = compare(base, {"rising": rising, "same": [number] * 4}, higher_is_better=True, relative=relative)
    assert {c.ground for c in found.values()} == {"constant baseline"}
    found = compare(base, {"same": [number] * 4}, higher_is_better=True, relative=relative, may_be_constant=True)
    assert found["same"].ground == "no difference"
    assert found["same"].baseline_sd == 0


def test_equal_differences_below_the_smallest_effect_tell_what_no_effect_would_take() -> None:
    base = [90.0, 90.5, 90.25, 91.0, 90.75, 90.125]
    sure = [x + 2 + d for x, d in zip(base, (0.1, 0.2, 0.15, 0.1, 0.12, 0.2), strict=True)]
    asked: dict[str, Any] = {"higher_is_better": True, "smallest_effect": 0.5}
    found = compare(base, {"same": [x + 0.125 for x in base], "sure": sure}, **asked)["same"]
    assert found.p_adjusted is not None
    assert (found.verdict, found.ground) == ("undecided", "no spread")
    assert found.p_adjusted < 0.05  # the difference is real, and too small: of interest is that it has no effect
    assert found.more_seeds == (1, 1)
    assert found.reason.endswith("; about 1 more seed would be needed.")
    more = compare([*base, 90.5], {"same": [*(x + 0.125 for x in base), 90.625], "sure": [*sure, 92.6]}, **asked)
    assert more["same"].verdict == "no effect"
