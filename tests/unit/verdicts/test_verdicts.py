import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from truelift.errors import InputError
from truelift.metrics import LARGEST
from truelift.verdicts import (
    Comparison,
    Guard,
    agreement_interval,
    compare,
    compare_unpaired,
    detectable_effect,
    example_standard_error,
    holm,
    paired_t_interval,
    paired_t_p_value,
    power_paired_t,
    probability_better,
    seeds_needed,
    sign_flip_p_value,
    spread,
)

# Worked by hand once: differences 2, 1, 3, 2, 4 have mean 2.4, squared deviations 0.16 + 1.96 + 0.36 + 0.16 + 2.56 =
# 5.2, variance 5.2/4 = 1.3 and a standard error of sqrt(1.3/5) = 0.509902; t_{4, 0.975} = 2.776445.
BASELINE = [10.0, 12.0, 11.0, 13.0, 14.0]
VARIANT = [12.0, 13.0, 14.0, 15.0, 18.0]
DIFFERENCES = [2.0, 1.0, 3.0, 2.0, 4.0]

# Whole numbers: sums and differences are exact, so symmetries hold to the last bit.
paired_results = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=9)


def one(baseline: list[float], variant: list[float], **options: object) -> Comparison:
    # Many a test has zeros for a baseline, so that the differences stand there.
    settings = {"higher_is_better": True, "may_be_constant": True} | options
    return compare(baseline, {"variant": variant}, **settings)["variant"]  # type: ignore[arg-type]


class TestPairedT:
    def test_by_hand(self) -> None:
        assert spread(DIFFERENCES) == pytest.approx(math.sqrt(1.3))
        # 2.4 -+ 2.776445 * 0.509902
        assert paired_t_interval(DIFFERENCES) == pytest.approx((0.984285, 3.815715), abs=1e-5)

    @given(st.lists(st.integers(-100, 100), min_size=2, max_size=12, unique=True), st.floats(0.5, 0.999))
    def test_agrees_with_scipy(self, differences: list[int], confidence: float) -> None:
        expected = stats.ttest_1samp(differences, 0)
        assert paired_t_p_value(differences) == pytest.approx(expected.pvalue, abs=1e-12)
        interval = expected.confidence_interval(confidence)
        assert paired_t_interval(differences, confidence=confidence) == pytest.approx(tuple(interval), rel=1e-6)

    def test_resolution_floors_the_spread(self) -> None:
        assert spread([1, 1, 1], resolution=1) == pytest.approx(math.sqrt(1 / 6))
        assert spread(DIFFERENCES, resolution=1) == spread(DIFFERENCES)
        # Two seeds, one step better each: t = 1 / (sqrt(1/6) / sqrt(2)) = sqrt(12), and Student's t with one degree is
        # the Cauchy distribution, P(|T| > t) = 1 - 2 atan(t) / pi.
        expected = 1 - 2 * math.atan(math.sqrt(12)) / math.pi
        assert paired_t_p_value([1, 1], resolution=1) == pytest.approx(expected)

    def test_without_spread_the_signs_are_the_evidence(self) -> None:
        # 0.1 + 0.1 + 0.1 is not 0.3 in floats: a residue in the spread would make p = 1e-32.
        assert paired_t_p_value([0.1, 0.1, 0.1]) == 1 / 4
        assert paired_t_p_value([-2.0] * 6) == 1 / 32
        assert paired_t_p_value([0.0, 0.0]) == 1

    @pytest.mark.parametrize("differences", [[], [1.0], [1.0, math.nan], [1.0, math.inf], [[1.0, 2.0]]])
    def test_refuses(self, differences: list[float]) -> None:
        with pytest.raises(InputError, match="differences must be"):
            paired_t_interval(differences)
        with pytest.raises(InputError, match="differences must be"):
            paired_t_p_value(differences)


class TestSignFlip:
    @pytest.mark.parametrize(
        ("differences", "expected"),
        [
            # First sign held, sums |1 + 2 + 3| = 6, |1 + 2 - 3| = 0, |1 - 2 + 3| = 2, |1 - 2 - 3| = 4; one of four.
            ([1, 2, 3], 1 / 4),
            # 2, 2, 0, 0: two of four reach 2.
            ([1, 1, 0], 1 / 2),
            ([5], 1),
            ([0, 0, 0], 1),
            ([-1] * 6, 1 / 32),
            # In another order 0.1 + 0.2 + 0.3 is 0.6000000000000001: the tie must still count. Sums 0.6, 0, 0.2, 0.4.
            ([0.1, 0.2, -0.3], 1),
        ],
    )
    def test_by_hand(self, differences: list[float], expected: float) -> None:
        assert sign_flip_p_value(differences) == expected

    @pytest.mark.parametrize("pairs", [19, 25])
    def test_equal_sizes_are_a_sign_test(self, pairs: int) -> None:
        # With differences +-1 the test is the binomial sign test; 25 pairs are sampled, 19 are exact.
        ups = pairs - 5
        expected = stats.binomtest(ups, pairs).pvalue
        p = sign_flip_p_value([1] * ups + [-1] * 5)
        assert p == pytest.approx(expected, rel=1e-9 if pairs <= 20 else 0.2)
        assert p == sign_flip_p_value([1] * ups + [-1] * 5)


class TestHolm:
    @pytest.mark.parametrize(
        ("p_values", "expected"),
        [
            # 0.01 * 3 = 0.03; 0.03 * 2 = 0.06; 0.04 * 1 would be less than the one before, so 0.06.
            ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
            ([0.9, 0.6], [1, 1]),
            ([0.2], [0.2]),
            ([], []),
        ],
    )
    def test_by_hand(self, p_values: list[float], expected: list[float]) -> None:
        assert holm(p_values).tolist() == pytest.approx(expected)

    @pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
    def test_refuses(self, value: float) -> None:
        with pytest.raises(InputError, match=r"p_values must lie in \[0, 1\]"):
            holm([0.5, value])


def test_probability_better_by_hand() -> None:
    # Two of four are up, one is a tie: (2 + 1/2) / 4.
    assert probability_better([1, 0, -1, 2], higher_is_better=True) == 0.625
    assert probability_better([1, 0, -1, 2], higher_is_better=False) == 0.375


class TestPlanning:
    @pytest.mark.parametrize(("effect", "seeds", "alpha"), [(2, 5, 0.05), (0.5, 34, 0.05), (8, 2, 0.05), (1, 3, 0.01)])
    def test_power_against_integration(self, effect: float, seeds: int, alpha: float) -> None:
        # By definition: given the sample sd, sqrt(W / df) with W chi-square, the sample mean is normal.
        df, shift = seeds - 1, effect * math.sqrt(seeds)
        critical = stats.t.ppf(1 - alpha / 2, df)

        def rejected(w: float) -> float:
            bound = critical * math.sqrt(w / df)
            return float((stats.norm.sf(bound - shift) + stats.norm.cdf(-bound - shift)) * stats.chi2.pdf(w, df))

        expected = integrate.quad(rejected, 0, 1)[0] + integrate.quad(rejected, 1, np.inf)[0]
        assert power_paired_t(effect, 1, seeds, alpha) == pytest.approx(expected, abs=1e-6)

    def test_power_of_extremes(self) -> None:
        assert power_paired_t(0, 1, 5, 0.05) == pytest.approx(0.05)
        assert power_paired_t(50, 1, 5) == pytest.approx(1)  # the far tail is beyond SciPy's range

    @pytest.mark.parametrize(("effect", "power", "alpha"), [(0.5, 0.8, 0.05), (2, 0.9, 0.01), (0.1, 0.06, 0.05)])
    def test_seeds_needed_is_the_fewest(self, effect: float, power: float, alpha: float) -> None:
        seeds = seeds_needed(effect, 1, power=power, alpha=alpha)
        assert power_paired_t(effect, 1, seeds, alpha) >= power > power_paired_t(effect, 1, seeds - 1, alpha)

    def test_seeds_needed_at_the_ends(self) -> None:
        assert seeds_needed(1000, 1) == 2
        # (1.959964 + 0.841621)^2 = 7.848880 standard errors squared, at an effect of 1e-4.
        assert seeds_needed(1e-4, 1) == pytest.approx(7.848880e8, rel=1e-6)

    @given(st.integers(2, 40), st.floats(0.01, 100), st.sampled_from([0.05, 0.01, 0.005]))
    def test_detectable_effect_has_the_power(self, seeds: int, sd: float, alpha: float) -> None:
        assert power_paired_t(detectable_effect(sd, seeds, alpha=alpha), sd, seeds, alpha) == pytest.approx(0.8)

    def test_refuses(self) -> None:
        with pytest.raises(InputError, match="sd must be finite and above 0, got 0"):
            power_paired_t(1, 0, 5)
        with pytest.raises(InputError, match="seeds must be at least 2, got 1"):
            power_paired_t(1, 1, 1)
        with pytest.raises(InputError, match="the size of effect must be finite and above 0, got 0"):
            seeds_needed(0, 1)
        with pytest.raises(InputError, match=r"power must be between alpha = 0.05 and 1, got 0.05"):
            seeds_needed(1, 1, power=0.05)
        with pytest.raises(InputError, match="alpha must be between 0 and 1, got 1"):
            detectable_effect(1, 5, alpha=1)


class TestExampleStandardError:
    def test_by_hand(self) -> None:
        baseline = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
        variant = np.array([[1, 1, 1, 0], [1, 1, 1, 0]], dtype=bool)
        # Means over the seeds: 1, 0.5, 0, 0 and 1, 1, 1, 0, so d = 0, 0.5, 1, 0 with mean 0.375; squared deviations
        # 0.140625 + 0.015625 + 0.390625 + 0.140625 = 0.6875. The second image's differences are 0 and 1, of variance
        # 0.5 over the seeds, the others' of none: 0.125 in the mean. sqrt((0.6875 / 3 - 0.125 / 2) / 4) = 0.204124.
        assert example_standard_error(baseline, variant) == pytest.approx(20.4124, abs=1e-4)
        assert example_standard_error(baseline, baseline) == 0

    def test_trainings_that_differ_by_their_seeds_alone_have_none(self) -> None:
        generator = np.random.default_rng(0)
        chance = generator.beta(2, 0.1, size=360)
        squares = [
            example_standard_error(*(generator.random((2, 5, 360)) < chance)) ** 2 for _ in range(300)
        ]  # seed noise would make it 0.59 points
        assert math.sqrt(np.mean(squares)) < 0.3

    def test_it_is_the_spread_over_test_sets(self) -> None:
        """Many test sets of 400 images, each image with its own chance under either training: within a tenth."""
        generator = np.random.default_rng(1)
        found, gains = [], []
        for _ in range(400):
            chances = generator.beta(2, 0.5, size=(2, 1, 400))
            gains.append(100 * float((chances[1] - chances[0]).mean()))
            right = generator.random((2, 3, 400)) < chances
            found.append(example_standard_error(right[0], right[1]) ** 2)
        assert math.sqrt(np.mean(found)) == pytest.approx(np.std(gains, ddof=1), rel=0.1)

    def test_refuses(self) -> None:
        right = np.ones((2, 4), dtype=bool)
        with pytest.raises(InputError, match="correct_variant must be boolean, got int64"):
            example_standard_error(right, np.ones((2, 4), dtype=np.int64))
        with pytest.raises(InputError, match=r"shape \(2, 4\), got \(2, 3\)"):
            example_standard_error(right, right[:, :3])
        for shape in ((2, 1), (1, 4), (0, 4), (4,)):
            with pytest.raises(InputError, match="seeds x images"):
                example_standard_error(np.ones(shape, dtype=bool), np.ones(shape, dtype=bool))


class TestAgreementInterval:
    # 8, 8.5, 9 have mean 8.5 and standard deviation 0.5; t_{2, 0.975} = 4.302653.
    OURS = (8.0, 8.5, 9.0)

    def test_of_one_published_run_by_hand(self) -> None:
        half = 4.302653 * 0.5 * math.sqrt(1 + 1 / 3)
        assert agreement_interval(self.OURS) == pytest.approx((8.5 - half, 8.5 + half), rel=1e-6)

    def test_of_a_mean_of_runs_by_hand(self) -> None:
        half = 4.302653 * 0.5 * math.sqrt(1 / 5 + 1 / 3)
        assert agreement_interval(self.OURS, runs=5) == pytest.approx((8.5 - half, 8.5 + half), rel=1e-6)

    def test_with_an_sd_it_holds_what_welchs_test_does_not_refuse(self) -> None:
        interval = agreement_interval(self.OURS, runs=5, sd=0.16)
        assert interval is not None
        for end in interval:
            p = stats.ttest_ind_from_stats(8.5, 0.5, 3, end, 0.16, 5, equal_var=False).pvalue
            assert p == pytest.approx(0.05)

    def test_it_holds_a_further_run_as_often_as_it_says(self) -> None:
        runs = np.random.default_rng(0).normal(size=(4000, 4))
        intervals = [agreement_interval(row[:3], confidence=0.8) for row in runs]
        held = [ends is not None and ends[0] <= row[3] <= ends[1] for ends, row in zip(intervals, runs, strict=True)]
        assert np.mean(held) == pytest.approx(0.8, abs=0.02)  # three standard errors

    def test_noise_that_cannot_be_told(self) -> None:
        assert agreement_interval([]) is None
        assert agreement_interval([8.5], runs=5, sd=0.16) is None
        assert agreement_interval([0.1, 0.1, 0.1]) is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"runs": 0}, "runs must be at least 1, got 0."),
            ({"sd": 0.1}, "runs must be at least 2 where they have an sd, got 1."),
            ({"sd": -0.1, "runs": 3}, "sd must be finite and at least 0, got -0.1."),
            ({"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0."),
            ({"ours": [1.0, math.nan]}, "ours must be finite, got [1.0, nan]."),
        ],
    )
    def test_refuses(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(InputError) as error:
            agreement_interval(**{"ours": self.OURS} | options)  # type: ignore[arg-type]
        assert str(error.value) == message


class TestCompare:
    def test_by_hand(self) -> None:
        result = one(BASELINE, VARIANT, unit="points")
        expected = stats.ttest_rel(VARIANT, BASELINE)
        assert result.seeds == 5
        assert (result.baseline_mean, result.variant_mean) == pytest.approx((12, 14.4))
        assert result.baseline_sd == pytest.approx(math.sqrt(10 / 4))  # squared deviations 4 + 0 + 1 + 1 + 4
        assert result.variant_sd == pytest.approx(math.sqrt(21.2 / 4))  # 5.76 + 1.96 + 0.16 + 0.36 + 12.96
        assert result.difference == pytest.approx(2.4)
        assert result.differences == (2, 1, 3, 2, 4)
        assert result.interval == pytest.approx((0.984285, 3.815715), abs=1e-5)
        assert result.p_value == result.p_adjusted == pytest.approx(expected.pvalue)
        assert result.p_sign_flip is None
        assert result.probability_better == 1
        assert result.correlation == pytest.approx(stats.pearsonr(BASELINE, VARIANT).statistic)
        assert result.smallest_detectable == pytest.approx(detectable_effect(math.sqrt(1.3), 5))
        assert (result.verdict, result.more_seeds) == ("helps", None)
        assert result.reason == "Better by 2.4 points, more than seed noise explains (5 seeds, p = 0.0093)."

    def test_lower_is_better(self) -> None:
        result = one(BASELINE, VARIANT, higher_is_better=False)
        assert (result.verdict, result.probability_better) == ("hurts", 0)
        assert result.difference == pytest.approx(2.4)
        assert result.reason == "Worse by 2.4, more than seed noise explains (5 seeds, p = 0.0093)."

    def test_relative_is_percent_of_the_baseline_by_log_ratios(self) -> None:
        relative = one(BASELINE, VARIANT, relative=True, smallest_effect=19)
        logs = np.log(np.array(VARIANT) / np.array(BASELINE))
        expected = stats.ttest_1samp(logs, 0)
        assert relative.difference == pytest.approx(100 * (stats.gmean(VARIANT) / stats.gmean(BASELINE) - 1))
        ratios = [100 * (v / b - 1) for b, v in zip(BASELINE, VARIANT, strict=True)]
        assert relative.differences == pytest.approx(ratios)
        assert relative.p_value == pytest.approx(expected.pvalue)
        ends = [100 * (math.exp(end) - 1) for end in expected.confidence_interval(0.95)]
        assert relative.interval == pytest.approx(ends)
        assert relative.verdict == "helps"
        assert one(BASELINE, VARIANT, relative=True, smallest_effect=20.1).verdict == "undecided"

    def test_a_ratio_turned_around_is_the_same_test(self) -> None:
        there, back = one(BASELINE, VARIANT, relative=True), one(VARIANT, BASELINE, relative=True)
        assert there.p_value == pytest.approx(back.p_value)
        assert (1 + there.difference / 100) * (1 + back.difference / 100) == pytest.approx(1)

    def test_relative_resolution_is_in_the_metrics_unit(self) -> None:
        # Steps of 1 second of 50: 0.02 in logs.
        result = one([50.0, 50.0, 50.0], [49.0, 49.0, 49.0], relative=True, resolution=1.0, higher_is_better=False)
        assert result.p_value == pytest.approx(paired_t_p_value([math.log(0.98)] * 3, resolution=0.02))

    def test_sign_flip_from_six_pairs_on(self) -> None:
        assert one([0.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).p_sign_flip == 1 / 32

    def test_holm_over_the_variants(self) -> None:
        generator = np.random.default_rng(0)
        baseline = generator.normal(size=5)
        variants = {name: baseline + generator.normal(0.5, 1, size=5) for name in "abc"} | {
            "alone": [1.0, *[np.nan] * 4]
        }
        results = compare(baseline, variants, higher_is_better=True)
        assert list(results) == ["a", "b", "c", "alone"]
        expected = holm([stats.ttest_rel(variants[name], baseline).pvalue for name in "abc"])
        assert [results[name].p_adjusted for name in "abc"] == pytest.approx(expected.tolist())
        assert results["alone"].p_adjusted is None

    def test_only_complete_pairs_count(self) -> None:
        nan = math.nan
        results = compare(
            [nan, *BASELINE, 99.0], {"gaps": [1.0, *VARIANT, nan], "none": [1.0, *[nan] * 6]}, higher_is_better=True
        )
        assert asdict(results["gaps"]) == asdict(one(BASELINE, VARIANT))
        none = results["none"]
        assert (none.seeds, none.verdict, none.differences) == (0, "undecided", ())
        assert none.reason == "No seed has a result of both the baseline and the variant."
        assert all(map(math.isnan, (none.baseline_mean, none.variant_mean, none.difference, none.probability_better)))
        assert (none.interval, none.p_value, none.baseline_sd, none.more_seeds) == (None,) * 4

    def test_no_variants(self) -> None:
        assert compare(BASELINE, {}, higher_is_better=True) == {}

    def test_step_sizes_do_not_make_certainty(self) -> None:
        step = 100 / 360
        baseline, variant = [90.0, 91.0], [90.0 + step, 91.0 + step]
        result = one(baseline, variant, resolution=step)
        assert result.p_value == pytest.approx(1 - 2 * math.atan(math.sqrt(12)) / math.pi)
        assert result.verdict == "undecided"


class TestUndecided:
    def test_one_seed(self) -> None:
        result = one([1.0], [5.0])
        assert result.reason.startswith("One seed decides nothing")
        assert (result.verdict, result.seeds, result.difference) == ("undecided", 1, 4)
        assert (result.interval, result.p_value, result.p_adjusted, result.baseline_sd) == (None,) * 4
        assert (result.correlation, result.smallest_detectable, result.more_seeds) == (None,) * 3

    @pytest.mark.parametrize("resolution", [0.0, 0.5])
    def test_identical(self, resolution: float) -> None:
        result = one(BASELINE, BASELINE, resolution=resolution, smallest_effect=1)
        assert (result.verdict, result.p_value, result.probability_better) == ("undecided", 1, 0.5)
        assert result.reason.startswith("All 5 seeds gave exactly the baseline's result: the variant changes nothing")

    def test_constant_difference_of_a_continuous_metric(self) -> None:
        # 90.3 - 90.1 and 0.3 - 0.1 differ in the 14th digit, which is rounding and no spread.
        baseline, variant = [90.1, 40.1, 0.1], [90.3, 40.3, 0.3]
        assert len({v - b for b, v in zip(baseline, variant, strict=True)}) > 1
        result = one(baseline, variant)
        assert (result.verdict, result.p_value, result.interval) == ("undecided", 1 / 4, None)
        assert result.reason == (
            "All 3 seeds differ by exactly +0.2, so there is no noise to hold it against; "
            "about 3 more seeds would be needed."
        )
        assert result.more_seeds == (3, 3)
        assert one([0.0] * 5, [1.0] * 5).verdict == "undecided"
        assert one([0.0] * 6, [1.0] * 6).verdict == "helps"

    def test_real_but_whether_it_matters_is_not_known(self) -> None:
        result = one(BASELINE, VARIANT, smallest_effect=3, unit="points")
        assert (result.verdict, result.ground) == ("undecided", "too small")
        assert result.reason.startswith(
            "Real (p = 0.0093), +2.4 points, but the 95 % interval, +0.98 to +3.82 points, leaves open whether it "
            "reaches the 3 points that matter; "
        )

    def test_ends_of_the_interval_agree_in_places_and_none_reads_0(self) -> None:
        # sd = 4.6337, half width = 11.510761, mean = 11.5.
        assert "-0.01 to +23.01" in one([0.0] * 3, [6.8663, 11.5, 16.1337], smallest_effect=1).reason

    def test_too_few_seeds(self) -> None:
        result = one([0.0] * 5, [1.0, -1.0, 1.0, -1.0, 1.0], unit="points")
        assert result.reason.startswith("The 95 % interval, -1.16 to +1.56 points, includes both 0 and effects that")
        assert result.more_seeds is not None
        fewest, most = result.more_seeds
        # Mean 0.2; squared deviations 3 * 0.64 + 2 * 1.44 = 4.8, sd = sqrt(1.2), of which 4.8 / chi2 at 10 and 90 %.
        low, high = (math.sqrt(4.8 / stats.chi2.ppf(q, 4)) for q in (0.9, 0.1))
        assert (fewest, most) == (seeds_needed(0.2, low) - 5, seeds_needed(0.2, high) - 5)
        assert f"roughly {fewest} to {most} more seeds would be needed" in result.reason
        # Planned from an effect that matters, where there is one.
        larger = one([0.0] * 5, [1.0, -1.0, 1.0, -1.0, 1.0], smallest_effect=1)
        assert larger.more_seeds == (max(1, seeds_needed(1, low) - 5), seeds_needed(1, high) - 5)

    def test_planning_stops_at_a_thousand(self) -> None:
        for last in (0.01, 0.0):
            result = one([0.0] * 5, [1.0, -1.0, 1.0, -1.0, last])
            assert result.more_seeds is None
            assert result.reason.endswith("more than 1000 more seeds would be needed to decide.")

    def test_significant_alone_but_not_among_many(self) -> None:
        alone = one([0.0] * 5, [0.1, 1.0, 2.0, 0.5, 1.5])
        assert alone.p_value is not None
        assert 0.05 / 3 < alone.p_value <= 0.05
        assert alone.verdict == "helps"
        noise = [1.0, -1.0, 1.0, -1.0, 0.5]
        variants = {"good": [0.1, 1.0, 2.0, 0.5, 1.5], "a": noise, "b": noise[::-1]}
        among = compare([0.0] * 5, variants, higher_is_better=True, may_be_constant=True)["good"]
        assert among.verdict == "undecided"
        assert "Alone it would count, but with 3 variants that can be chance" in among.reason
        low, high = (spread(variants["good"]) * math.sqrt(4 / stats.chi2.ppf(q, 4)) for q in (0.9, 0.1))
        assert among.more_seeds == tuple(seeds_needed(1.02, sd, alpha=0.05 / 3) - 5 for sd in (low, high))
        # The interval stands beside the corrected p-value, and holds 0 where that does not decide.
        assert among.interval is not None
        assert among.interval == pytest.approx(paired_t_interval(variants["good"], confidence=1 - 0.05 / 3))
        assert among.interval_confidence == pytest.approx(1 - 0.05 / 3)
        assert among.interval[0] < 0 < among.interval[1]


@given(paired_results, st.sampled_from([0, 1, 4]), st.booleans())
@settings(max_examples=200)
def test_swapping_the_roles_mirrors_everything(
    pairs: list[tuple[int, int]], smallest_effect: int, higher_is_better: bool
) -> None:
    baseline, variant = (list(map(float, side)) for side in zip(*pairs, strict=True))
    options = {"smallest_effect": smallest_effect, "higher_is_better": higher_is_better, "resolution": 1}
    there, back = one(baseline, variant, **options), one(variant, baseline, **options)
    assert there.difference == -back.difference
    assert there.p_value == back.p_value
    assert there.p_sign_flip == back.p_sign_flip
    assert there.more_seeds == back.more_seeds
    assert there.probability_better == pytest.approx(1 - back.probability_better)
    assert there.interval is not None
    assert back.interval is not None
    assert there.interval == (-back.interval[1], -back.interval[0])
    mirrored = {"helps": "hurts", "hurts": "helps", "undecided": "undecided", "no effect": "no effect"}
    assert there.verdict == mirrored[back.verdict]


@given(paired_results, st.integers(-1000, 1000))
def test_a_constant_added_to_both_changes_nothing(pairs: list[tuple[int, int]], constant: int) -> None:
    baseline, variant = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    before = asdict(one(baseline.tolist(), variant.tolist(), smallest_effect=1))
    after = asdict(one((baseline + constant).tolist(), (variant + constant).tolist(), smallest_effect=1))
    moved = {"baseline_mean", "variant_mean"}
    rounded = {"baseline_sd", "variant_sd", "correlation"}
    for name in before.keys() - moved - rounded:
        assert before[name] == after[name], name
    for name in rounded:
        assert before[name] == pytest.approx(after[name], abs=1e-9), name


@given(paired_results, st.sampled_from([0.25, 8.0]))
def test_another_unit_changes_the_unit_alone(pairs: list[tuple[int, int]], factor: float) -> None:
    baseline, variant = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    before = one(baseline.tolist(), variant.tolist(), smallest_effect=1, resolution=1)
    after = one((factor * baseline).tolist(), (factor * variant).tolist(), smallest_effect=factor, resolution=factor)
    assert (after.verdict, after.p_value, after.more_seeds) == (before.verdict, before.p_value, before.more_seeds)
    assert after.difference == factor * before.difference
    assert before.smallest_detectable is not None
    assert after.smallest_detectable == pytest.approx(factor * before.smallest_detectable)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smallest_effect": -0.5}, "smallest_effect must be finite and at least 0, got -0.5."),
        ({"smallest_effect": math.nan}, "smallest_effect must be finite and at least 0, got nan."),
        ({"resolution": -1.0}, "resolution must be finite and at least 0, got -1.0."),
        ({"confidence": 0.0}, "confidence must be between 0 and 1, got 0.0."),
        ({"confidence": 95.0}, "confidence must be between 0 and 1, got 95.0."),
        ({"variant": [1.0, 2.0]}, 'results of "variant" must pair with 5 of the baseline, got 2.'),
        ({"variant": [1.0, 2.0, 3.0, 4.0, math.inf]}, "must be finite and at most 1e+100, or NaN for a missing run"),
        ({"baseline": [1.0, 2.0, 3.0, 4.0, -math.inf]}, 'results of "baseline" must be finite'),
        ({"baseline": [[1.0, 2.0]]}, "must be one number a seed, got shape (1, 2)."),
        (
            {"baseline": [-1.0, 0.0, 1.0, 0.0, 0.0], "relative": True},
            "a relative comparison needs results above 0, got -1.",
        ),
    ],
)
def test_bad_input_is_named(options: dict[str, object], message: str) -> None:
    arguments = {"baseline": BASELINE, "variant": VARIANT} | options
    with pytest.raises(InputError) as error:
        one(**arguments)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pairs", [21, 100])
def test_kept_signs_are_those_that_a_generator_draws(pairs: int) -> None:
    """One pair after the other, as a table of one variant would draw them."""
    differences = np.random.default_rng(pairs).normal(0.1, 1.0, pairs)
    generator, sums = np.random.default_rng(0), np.zeros(100_000)
    for difference in differences:
        sums += difference * generator.choice((-1.0, 1.0), size=100_000)
    threshold = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    expected = (1 + np.count_nonzero(np.abs(sums) >= threshold)) / 100_001
    assert sign_flip_p_value(differences) == sign_flip_p_value(differences) == expected


@pytest.mark.parametrize("function", [compare, compare_unpaired])
def test_variants_are_results_by_name(function: Any) -> None:
    with pytest.raises(InputError, match=r"variants must be results by name, .* got list"):
        function([90.0, 91.0], [92.0, 93.0], higher_is_better=True)
    with pytest.raises(InputError, match='results of "mixup" must be one number a seed, got'):
        function([90.0, 91.0], {"mixup": ["a", "b"]}, higher_is_better=True)


def test_numbers_at_the_edge_of_all_numbers() -> None:
    with pytest.raises(InputError, match=r'"v" must be finite and at most 1e\+100, or NaN for a missing run'):
        compare([1, 2, 3], {"v": [1, 2, 1e154]}, higher_is_better=True)
    for judge in (compare, compare_unpaired):
        for better in (True, False):
            found = judge([1e-100, 2e-100, 1e-100], {"v": [1e100, 1e90, 1e-20]}, higher_is_better=better, relative=True)
            assert found["v"].difference == pytest.approx(100 * LARGEST)  # a ratio beyond all numbers
            assert found["v"].interval is not None
    slower = Guard(
        metric="t",
        limit=3,
        higher_is_better=False,
        baseline=[1e-100, 2e-100, 1e-100],
        variants={"v": [1e100, 1e90, 1e-20]},
        relative=True,
    )
    guarded = compare([1, 2, 3], {"v": [2, 3.1, 4.2]}, higher_is_better=True, guards=[slower])["v"].guards
    assert guarded[0].worse == pytest.approx(100 * LARGEST)
