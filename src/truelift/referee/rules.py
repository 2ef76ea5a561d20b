"""The level of the next candidate of a search, by three rules: pure functions of what is known when it is registered.

Letters: t is the candidate's number from 1; alpha the budget; gamma_1 >= gamma_2 >= ... a sequence with sum 1; r_j the
number of candidates that were registered when the j-th discovery became known, so that its gain counts from r_j + 1 on;
lambda SAFFRON's threshold; W0 = alpha/2 the initial wealth.

Tests may overlap: several variants of one study are registered together. What is not judged yet counts as no discovery,
and for SAFFRON as a p-value above lambda. Both take levels away, never add any.

References: Foster and Stine 2008, "Alpha-investing" (spending); Ramdas, Yang, Wainwright and Jordan 2017, "Online
control of the false discovery rate with decaying memory" (LORD++); Ramdas, Zrnic, Wainwright and Jordan 2018,
"SAFFRON"; Zrnic, Ramdas and Jordan 2021, "Asynchronous Online Testing of Multiple Hypotheses" (tests that overlap);
Javanmard and Montanari 2018, "Online rules for control of false discovery rate" (the form of gamma).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

from truelift.errors import require

Rule = Literal["spending", "lord", "saffron"]
RULES: tuple[Rule, ...] = get_args(Rule)

SAFFRON_THRESHOLD = 0.5
"""SAFFRON's lambda: a p-value above it speaks for a candidate without effect."""

# The sum of log(max(j, 2)) / (j exp(sqrt(log j))) over all j.
_SUM = 12.645108


@lru_cache(maxsize=65536)
def gamma(j: int) -> float:
    """The j-th part of the budget: gamma_j = log(max(j, 2)) / (S j exp(sqrt(log j))), S such that the sum is 1.

    It falls slowly, 0.055 for the first and 0.00014 for the 300th, since a search is long.

    Args:
        j: At least 1.
    """
    assert j >= 1
    return math.log(max(j, 2)) / (_SUM * j * math.exp(math.sqrt(math.log(j))))


def spending_level(number: int, *, alpha: float, candidates: int | None = None) -> float:
    """Alpha spending: alpha_t = alpha / K for the first K candidates and 0 after them; without K alpha gamma_t.

    The levels add up to alpha at most, so the chance of any false discovery is at most alpha, however the tests depend
    on each other.

    Args:
        number: The candidate's, t >= 1.
        alpha: The budget, in (0, 1).
        candidates: K, where it was stated beforehand.
    """
    _check(number, alpha)
    if candidates is None:
        return alpha * gamma(number)
    return alpha / candidates if number <= candidates else 0.0


def lord_level(number: int, discoveries: Sequence[int], *, alpha: float) -> float:
    """LORD++: alpha_t = gamma_t W0 + (alpha - W0) gamma_{t - r_1} + alpha sum_{j >= 2} gamma_{t - r_j}.

    The false discovery rate is at most alpha where the p-values are independent.

    Args:
        number: The candidate's, t >= 1.
        discoveries: r_1 <= r_2 <= ..., each below t.
        alpha: The budget, in (0, 1).
    """
    _check(number, alpha)
    first = alpha / 2
    level = gamma(number) * first
    for j, known in enumerate(discoveries):
        level += (alpha - first if j == 0 else alpha) * gamma(number - known)
    return level


def saffron_level(
    number: int, discoveries: Sequence[int], small: Sequence[int], *, alpha: float, threshold: float = SAFFRON_THRESHOLD
) -> float:
    """SAFFRON: alpha_t = min(lambda, (1 - lambda) (W0 gamma_{t - C_0} + (alpha - W0) gamma_{t - r_1 - C_1} + ...)).

    Further discoveries add alpha gamma_{t - r_j - C_j}. C_j counts the candidates after r_j (r_0 = 0) whose p-value is
    known to be lambda at most: they cost nothing. The false discovery rate is at most alpha where the p-values are
    independent.

    Args:
        number: The candidate's, t >= 1.
        discoveries: r_1 <= r_2 <= ..., each below t.
        small: Numbers of the candidates with p <= lambda, rising.
        alpha: The budget, in (0, 1).
        threshold: lambda, in (0, 1).
    """
    _check(number, alpha)
    first = alpha / 2
    level = first * gamma(number - len(small))
    for j, known in enumerate(discoveries):
        after = len(small) - bisect_right(small, known)
        level += (alpha - first if j == 0 else alpha) * gamma(number - known - after)
    return min(threshold, (1 - threshold) * level)


def _check(number: int, alpha: float) -> None:
    require("number", number, number >= 1, "at least 1")
    require("alpha", alpha, 0 < alpha < 1, "between 0 and 1")
