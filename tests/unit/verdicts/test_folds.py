"""Pairs that are folds: Nadeau and Bengio's corrected t."""

import math

import numpy as np
import pytest
from scipy import stats

from truelift.errors import InputError
from truelift.verdicts import Guard, Looks, compare
from truelift.verdicts.folds import corrected_standard_error, corrected_t_p_value
from truelift.verdicts.paired import paired_t_p_value

D = [1.2, 0.4, 0.9, 1.6, 0.7]


def test_by_hand() -> None:
    mean, s = 4.8 / 5, math.sqrt(sum((d - 0.96) ** 2 for d in D) / 4)
    t = mean / (s * math.sqrt(1 / 5 + 1 / 4))
    assert corrected_standard_error(D, 0.25) == pytest.approx(s * math.sqrt(0.45))
    assert corrected_t_p_value(D, 0.25) == pytest.approx(2 * stats.t.sf(t, 4))
    # The usual case, ten times ten folds: r = 1/9.
    assert corrected_t_p_value(D, 1 / 9) == pytest.approx(2 * stats.t.sf(mean / (s * math.sqrt(1 / 5 + 1 / 9)), 4))


def test_without_shared_images_it_is_the_paired_t() -> None:
    assert corrected_t_p_value(D, 1e-12) == pytest.approx(paired_t_p_value(D))
    assert corrected_t_p_value(D, 0.25) > paired_t_p_value(D)


@pytest.mark.parametrize("folds", [3, 5, 10])
def test_it_is_exact_where_folds_correlate_as_it_assumes(folds: int) -> None:
    """All correlations n_test / (n_test + n_train) = 1/k: t has Student's distribution then, and the plain one not."""
    generator = np.random.default_rng(folds)
    trials, correlation = 3000, 1 / folds
    shared = generator.normal(size=(trials, 1)) * math.sqrt(correlation)
    d = shared + generator.normal(size=(trials, folds)) * math.sqrt(1 - correlation)
    ratio = 1 / (folds - 1)
    rejected = np.mean([corrected_t_p_value(row, ratio) <= 0.05 for row in d])
    assert abs(rejected - 0.05) < 4 * math.sqrt(0.05 * 0.95 / trials)
    assert np.mean([paired_t_p_value(row) <= 0.05 for row in d]) > 0.1


def test_verdict_interval_and_p_agree() -> None:
    """The verdict's interval holds 0 exactly where p does not decide, as for seeds."""
    generator = np.random.default_rng(0)
    decided = 0
    for _ in range(200):
        base = generator.normal(90, 1, 5)
        other = base + generator.normal(1.0, 0.6, 5)
        [found] = compare(base, {"v": other}, higher_is_better=True, held_out=0.25).values()
        assert found.interval is not None
        assert found.p_value == pytest.approx(corrected_t_p_value(other - base, 0.25))
        assert found.p_adjusted is not None
        assert (found.p_adjusted <= 0.05) == (not found.interval[0] <= 0 <= found.interval[1])
        assert (found.verdict == "helps") == (found.p_adjusted <= 0.05 and found.difference > 0)
        decided += found.verdict == "helps"
        [plain] = compare(base, {"v": other}, higher_is_better=True).values()
        assert plain.p_value is not None
        assert found.p_value is not None
        assert plain.p_value < found.p_value
        assert plain.smallest_detectable is not None
        assert found.smallest_detectable == pytest.approx(plain.smallest_detectable * 1.5)  # sqrt(1 + 5/4)
    assert 20 < decided < 180


def test_words_are_of_folds() -> None:
    base = np.full(5, 90.0) + np.arange(5)
    helps = compare(base, {"v": base + D}, higher_is_better=True, unit="points", held_out=0.25)["v"]
    assert helps.verdict == "helps"
    assert "5 folds" in helps.reason
    assert "seed" not in helps.reason
    wide = compare(
        base, {"v": base + np.array([3, -2, 1, -4, 2.5])}, higher_is_better=True, unit="points", held_out=0.25
    )["v"]
    assert wide.ground == "too wide"
    assert wide.more_seeds is None
    assert "more seeds" not in wide.reason
    assert wide.replicates == "folds"
    assert wide.p_sign_flip is None


def test_no_effect_and_guards_use_the_corrected_error() -> None:
    base = np.full(5, 90.0) + np.arange(5)
    close = base + np.array([0.05, -0.03, 0.01, -0.02, 0.04])
    [found] = compare(base, {"v": close}, higher_is_better=True, smallest_effect=0.2, held_out=0.25).values()
    assert found.verdict == "no effect"
    error = corrected_standard_error(close - base, 0.25)
    nearer = min((0.2 - found.difference) / error, (found.difference + 0.2) / error)
    assert found.p_no_effect == pytest.approx(2 * stats.t.sf(nearer, 4))
    loss = np.full(5, 0.4) + 0.01 * np.arange(5)
    worse = loss + np.array([0.01, 0.03, 0.02, 0.04, 0.02])
    guard = Guard(
        metric="loss", limit=0.03, higher_is_better=False, baseline=loss, variants={"v": worse}, relative=False, unit=""
    )
    verdicts = {}
    for ratio in (None, 0.25):
        [found] = compare(base, {"v": base + D}, higher_is_better=True, guards=[guard], held_out=ratio).values()
        verdicts[ratio] = found.guards[0]
    t = (0.024 - 0.03) / corrected_standard_error(worse - loss, 0.25)
    assert verdicts[0.25].p_value == pytest.approx(stats.t.cdf(t, 4))
    plain, corrected = verdicts[None].p_value, verdicts[0.25].p_value
    assert plain is not None
    assert corrected is not None
    assert plain < corrected


def test_folds_that_differ_by_the_same_decide_nothing() -> None:
    base = np.arange(10.0)
    [found] = compare(base, {"v": base + 1}, higher_is_better=True, held_out=1 / 9).values()
    assert found.verdict == "undecided"
    assert found.p_value == 1
    assert "10 folds differ by exactly" in found.reason


@pytest.mark.parametrize("ratio", [0, -1, math.inf, math.nan])
def test_ratios_out_of_range(ratio: float) -> None:
    with pytest.raises(InputError, match="n_test / n_train must be above 0"):
        compare(D, {"v": D}, higher_is_better=True, held_out=ratio)


def test_what_is_for_independent_pairs_is_refused() -> None:
    three = dict.fromkeys("abc", D)
    for given in ({"pooling": "guarded"}, {"looks": Looks((3, 5))}, {"levels": dict.fromkeys("abc", 0.01)}):
        with pytest.raises(InputError, match="must be left out with folds"):
            compare(D, three, higher_is_better=True, held_out=0.25, **given)
