"""Levels that a referee gives, in place of Holm's."""

import math

import numpy as np
import pytest
from scipy import stats

from truelift.errors import InputError
from truelift.verdicts import Guard, compare, paired_t_interval

BASE = np.array([90.1, 90.5, 89.9, 90.3, 90.0, 90.2])
GOOD = BASE + np.array([0.5, 0.8, 0.6, 0.9, 0.4, 0.7])
OTHER = BASE + np.array([0.1, -0.2, 0.3, 0.0, -0.1, 0.2])
P = float(stats.ttest_rel(GOOD, BASE).pvalue)


@pytest.mark.parametrize(("level", "verdict"), [(1.01 * P, "helps"), (0.99 * P, "undecided")])
def test_a_variant_is_decided_at_its_own_level(level: float, verdict: str) -> None:
    found = compare(
        BASE,
        {"good": GOOD, "other": OTHER},
        higher_is_better=True,
        levels={"good": level, "other": 0.001},
        scale="none",
    )
    good = found["good"]
    assert good.verdict == verdict
    assert good.p_value == pytest.approx(P)
    assert good.p_adjusted == pytest.approx(0.05 * P / level)
    assert good.interval == pytest.approx(paired_t_interval(GOOD - BASE, confidence=1 - level))
    assert good.interval is not None
    assert (good.interval[0] > 0) == (verdict == "helps")
    # Another variant's level is no concern of this one's, as it is with Holm.
    alone = compare(BASE, {"good": GOOD}, higher_is_better=True, levels={"good": level})
    assert alone["good"].p_adjusted == good.p_adjusted


def test_a_guard_is_held_to_one_side_of_the_level() -> None:
    """The level is two-sided and the guard's p one-sided: it must be half of it at most."""
    d = np.array([0.2, -0.1, 0.3, 0.0, 0.1, 0.2])  # costs, of which 1 is allowed
    t = (d.mean() - 1) / (d.std(ddof=1) / math.sqrt(d.size))
    p_guard = float(stats.t.cdf(t, d.size - 1))
    guard = Guard(metric="cost", limit=1.0, higher_is_better=False, baseline=BASE, variants={"good": BASE + d})
    verdicts = {
        level: compare(BASE, {"good": BASE + 5 + d / 10}, higher_is_better=True, guards=[guard], levels={"good": level})
        for level in (1.9 * p_guard, 2.1 * p_guard)
    }
    assert [found["good"].verdict for found in verdicts.values()] == ["undecided", "helps"]
    assert [found["good"].guards[0].holds for found in verdicts.values()] == [False, True]


def test_levels_out_of_place_are_refused() -> None:
    for levels, told in (({"x": 0.01}, "levels must be given for good"), ({"good": 0.0}, "between 0 and 1")):
        with pytest.raises(InputError, match=told):
            compare(BASE, {"good": GOOD}, higher_is_better=True, levels=levels)
    three = {"a": GOOD, "b": OTHER, "c": BASE + 1}
    with pytest.raises(InputError, match="levels must be left out with pooling"):
        compare(BASE, three, higher_is_better=True, pooling="guarded", levels=dict.fromkeys(three, 0.01))
