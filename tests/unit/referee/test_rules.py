"""Levels by hand, by the published estimates of what is falsely found, and by simulation."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from truelift.errors import InputError
from truelift.referee import RULES, Account, Rule, gamma, lord_level, saffron_level, spending_level


def test_gamma_falls_and_adds_up_to_one() -> None:
    parts = np.array([gamma(j) for j in range(1, 20_001)])
    assert (np.diff(parts) < 0).all()
    # The rest by the integral: with v = sqrt(log x) that of 2 v^3 exp(-v), an incomplete gamma function.
    n = 20_000.5
    whole = sum(math.log(max(j, 2)) / (j * math.exp(math.sqrt(math.log(j)))) for j in range(1, 20_001))
    rest = 12 * special.gammaincc(4, math.sqrt(math.log(n)))
    assert parts.sum() + rest * parts[0] / math.log(2) == pytest.approx(1, abs=1e-7)
    assert parts[0] == pytest.approx(math.log(2) / (whole + rest), rel=1e-6)


def test_spending_by_hand() -> None:
    assert [spending_level(t, alpha=0.06, candidates=3) for t in (1, 2, 3, 4)] == [0.02, 0.02, 0.02, 0.0]
    assert spending_level(7, alpha=0.05) == pytest.approx(0.05 * gamma(7))
    assert sum(spending_level(t, alpha=0.05) for t in range(1, 5000)) <= 0.05


def test_lord_by_hand() -> None:
    g = [math.nan, *map(gamma, range(1, 9))]
    assert lord_level(1, [], alpha=0.05) == pytest.approx(0.025 * g[1])
    assert lord_level(4, [], alpha=0.05) == pytest.approx(0.025 * g[4])
    # Found at 2 and 5: at 7, W0 gamma_7 + (alpha - W0) gamma_5 + alpha gamma_2.
    assert lord_level(7, [2, 5], alpha=0.05) == pytest.approx(0.025 * g[7] + 0.025 * g[5] + 0.05 * g[2])


def test_saffron_by_hand() -> None:
    g = [math.nan, *map(gamma, range(1, 9))]
    assert saffron_level(1, [], [], alpha=0.05) == pytest.approx(0.5 * 0.025 * g[1])
    # Of six, 1, 2 and 5 had p <= 1/2, and 2 and 5 were found: t - C_0 = 4, t - 2 - C_1 = 4, t - 5 - C_2 = 2.
    expected = 0.5 * (0.025 * g[4] + 0.025 * g[4] + 0.05 * g[2])
    assert saffron_level(7, [2, 5], [1, 2, 5], alpha=0.05) == pytest.approx(expected)
    assert saffron_level(2, [1] * 400, [1], alpha=0.9, threshold=0.1) == 0.1


@pytest.mark.parametrize("arguments", [(0, 0.05), (1, 0.0), (1, 1.0), (1, math.nan)])
def test_what_is_out_of_range_is_refused(arguments: tuple[int, float]) -> None:
    number, alpha = arguments
    with pytest.raises(InputError, match="must be"):
        lord_level(number, [], alpha=alpha)


def test_an_account_gives_the_published_levels_one_by_one() -> None:
    """Against the formulas written anew, over all of the past."""
    p = np.random.default_rng(1).uniform(size=60) ** 6
    for rule in ("lord", "saffron"):
        account = Account(rule)
        found: list[bool] = []
        small: list[int] = []
        for t, value in enumerate(p.tolist(), start=1):
            level = account.open()[0]
            taus = [i for i, hit in enumerate(found, 1) if hit]
            wealth = [0.025, *([0.025] + [0.05] * len(taus))[: len(taus)]]
            starts = [0, *taus]
            if rule == "lord":
                wanted = sum(w * gamma(t - s) for w, s in zip(wealth, starts, strict=True))
            else:
                after = [sum(1 for c in small if c > s) for s in starts]
                wanted = min(
                    0.5, 0.5 * sum(w * gamma(t - s - c) for w, s, c in zip(wealth, starts, after, strict=True))
                )
            assert level == pytest.approx(min(wanted, 0.025), rel=1e-12)
            found.append(value <= level)
            account.close(t, value, found[-1])
            if value <= 0.5:
                small.append(t)
        assert sum(found) > 3


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RULES), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 4), st.booleans()), max_size=60))
def test_no_more_is_spent_than_the_budget(rule: Rule, steps: Sequence[tuple[float, int, bool]]) -> None:
    """Whatever happens, with batches and candidates that are never judged, the estimate stays within alpha."""
    account = Account(rule, alpha=0.2)
    waiting: list[int] = []
    for draw, batch, judge in steps:
        waiting += range(len(account.levels) + 1, len(account.levels) + 1 + len(account.open(batch)))
        if judge:
            number = waiting.pop(0)
            p = min(1.0, draw**8)
            account.close(number, p, p <= account.levels[number - 1])
        assert account.spent() <= 1 + 1e-9
        assert max(account.levels) <= 0.1


def test_a_batch_does_not_know_its_own_results() -> None:
    together, apart = Account("lord"), Account("lord")
    first = together.open(2)
    assert first == [apart.open()[0], apart.open()[0]]
    together.close(1, 0.0, True)
    assert together.open()[0] == pytest.approx(lord_level(3, [2], alpha=0.05))


def test_a_stated_number_of_candidates_is_used_up() -> None:
    account = Account(candidates=2)
    assert account.open(2) == [0.025, 0.025]
    with pytest.raises(InputError, match="for 2 candidates and 2 are registered"):
        account.open()
    with pytest.raises(InputError, match="left out with the rule lord"):
        Account("lord", candidates=3)
    with pytest.raises(InputError, match='Did you mean "saffron"'):
        Account("safron")  # type: ignore[arg-type]


def test_error_rates_by_simulation() -> None:
    """400 searches of 100 candidates, 80 without effect: an independent count of what is falsely found."""
    rng = np.random.default_rng(3)
    for rule, stated in (("spending", 100), ("lord", None), ("saffron", None)):
        shares, any_false, power = [], 0, []
        for _ in range(400):
            real = rng.permutation(100) < 20
            p = special.ndtr(-(rng.normal(size=100) + 4 * real))
            account = Account(rule, alpha=0.1, candidates=stated)  # type: ignore[arg-type]
            passed = np.zeros(100, dtype=bool)
            for i, value in enumerate(p.tolist()):
                passed[i] = value <= account.open()[0]
                account.close(i + 1, value, bool(passed[i]))
            false = int((passed & ~real).sum())
            shares.append(false / max(1, int(passed.sum())))
            any_false += false > 0
            power.append((passed & real).sum() / 20)
        assert np.mean(shares) <= 0.1
        assert np.mean(power) > 0.6
        if rule == "spending":  # 0.077 by calculation: 1 - (1 - 0.001)^80, with an error of 0.013
            assert 0.03 < any_false / 400 < 0.125
