"""One variant through the looks of a growing study: what each look sees, and where it may stop.

References: `sequential`; Hajnal 1961, "A Two-Sample Sequential t-Test"; Schnuerch & Erdfelder 2020 for the ratio.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from truelift.verdicts.checks import at_least_zero, differences_of
from truelift.verdicts.equivalence import equivalence_p_value
from truelift.verdicts.paired import paired_t_interval, paired_t_p_value, spread
from truelift.verdicts.power import POWER, detectable_effect
from truelift.verdicts.sequential import Looks

FIRST_FUTILITY = 4
_CONFIDENCE = 0.95  # 1 - the level, in Hajnal's lower bound (1 - power) / (1 - level)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look sees; p-values and interval hold wherever one stops."""

    seeds: int
    difference: float
    interval: tuple[float, float]
    """All looks' intervals hold the true difference together with probability 1 - alpha."""
    p_value: float
    """Of a difference of 0: to be held against Holm's levels as any other."""
    p_no_effect: float | None
    """Of an effect as large as the smallest, at the level of `interval`; None without a smallest effect."""
    futile: bool
    """The study is unlikely to find what its last look could: it may stop undecided. Not binding."""


def path(
    differences: ArrayLike, looks: Looks, *, smallest_effect: float = 0.0, resolution: float = 0.0, variants: int = 1
) -> tuple[Look, ...]:
    """Every look so far at one variant.

    P^e = P(A_K <= min_j 2 q_j (K / j)^1.5), q_j the p-value of two one-sided tests: at most alpha exactly where a
    look's interval lies between -D and D.

    Args:
        differences: (n,) paired differences in the order of the seeds; those behind the last look are not used.
        looks: The plan.
        smallest_effect: D, at least 0, in units of the differences.
        resolution: See `spread`.
        variants: How many are compared, for `Look.futile`.

    Raises:
        InputError: An argument outside its range.
    """
    d = differences_of(differences, fewest=1)
    at_least_zero("smallest_effect", smallest_effect)
    found: list[Look] = []
    p_values: list[float] = []
    of_no_effect: list[float] = []
    for k in (k for k in looks.seeds if k <= d.size):
        first = d[:k]
        p_values.append(paired_t_p_value(first, resolution=resolution))
        if smallest_effect:
            q = equivalence_p_value(first, -smallest_effect, smallest_effect, resolution=resolution)
            of_no_effect.append(min(1.0, 2 * q))
        found.append(
            Look(
                seeds=k,
                difference=float(first.mean()),
                interval=paired_t_interval(first, confidence=1 - looks.level(k), resolution=resolution),
                p_value=looks.p_value(p_values),
                p_no_effect=looks.p_value(of_no_effect) if of_no_effect else None,
                futile=is_futile(first, looks, resolution=resolution, variants=variants),
            )
        )
    return tuple(found)


def is_futile(differences: ArrayLike, looks: Looks, *, resolution: float = 0.0, variants: int = 1) -> bool:
    """Whether the effect that K seeds would find is unlikely by now.

        LR = exp(-k e^2 / 2) 1F1(k/2; 1/2; (k e^2 / 2) T^2 / (T^2 + k - 1)) <= (1 - power) / (1 - level)

    e is the effect, in standard deviations of the differences, that a paired t-test of K seeds finds with 80 % power at
    alpha / m. It is never futile below 4 seeds, nor where there is no spread.

    Args:
        differences: (k,) paired differences so far, k >= 2.
        looks: The plan.
        resolution: See `spread`.
        variants: m, at least 1.

    Raises:
        InputError: As `spread`.
    """
    from scipy import special

    d = differences_of(differences, fewest=2)
    k, s = d.size, spread(d, resolution=resolution)
    if k < FIRST_FUTILITY or not s:
        return False
    effect = detectable_effect(1.0, looks.most_seeds, alpha=looks.alpha / variants)
    half, squared = k * effect**2 / 2, k * (float(d.mean()) / s) ** 2
    ratio = math.exp(-half) * special.hyp1f1(k / 2, 0.5, half * squared / (squared + k - 1))
    return bool(np.isfinite(ratio)) and float(ratio) <= (1 - POWER) / _CONFIDENCE
