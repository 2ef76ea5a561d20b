"""One variant through the looks of a growing study: what each look sees, and where it may stop.

References: `sequential`; Hajnal 1961, "A Two-Sample Sequential t-Test"; Schnuerch & Erdfelder 2020 for the ratio.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from truelift.errors import require
from truelift.verdicts.checks import differences_of
from truelift.verdicts.equivalence import equivalence_p_value
from truelift.verdicts.paired import paired_t_p_value, spread
from truelift.verdicts.power import POWER, detectable_effect
from truelift.verdicts.sequential import Looks
from truelift.verdicts.special import special_functions
from truelift.verdicts.student import critical

FIRST_FUTILITY = 4
_CONFIDENCE = 0.95  # 1 - the level, in Hajnal's lower bound (1 - power) / (1 - level)
NO_MARGINS = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look sees; p-values and interval hold wherever one stops."""

    seeds: int
    """Pairs k."""
    difference: float
    interval: tuple[float, float]
    """All looks' intervals hold the true difference together with probability 1 - alpha."""
    boundary: tuple[float, float]
    """The differences beyond which this look decides: then its interval leaves out 0."""
    level: float
    """What Student's ordinary p-value must reach at this look."""
    p_at_look: float
    """Student's ordinary p-value."""
    p_value: float
    """Of a difference of 0, over all looks so far: to be held against Holm's levels as any other."""
    p_no_effect: float | None
    """Of an effect as large as the smallest, at the level of `interval`; None without a smallest effect."""
    futile: bool
    """The study is unlikely to find what its last look could: it may stop undecided. Not binding."""

    def shown(self, units: Callable[[float], float]) -> "Look":
        """In other units."""
        low, high = self.interval
        below, above = self.boundary
        return replace(
            self,
            difference=units(self.difference),
            interval=(units(low), units(high)),
            boundary=(units(below), units(above)),
        )


def path(
    differences: ArrayLike,
    looks: Looks,
    *,
    margins: tuple[float, float] = NO_MARGINS,
    resolution: float = 0.0,
) -> tuple[Look, ...]:
    """Every look so far at one variant.

    P^e = P(A_K <= min_j 2 q_j (K / j)^1.5), q_j the p-value of two one-sided tests: at most alpha exactly where a
    look's interval lies between the margins.

    Args:
        differences: (n,) paired differences in the order of the seeds; those behind the last look are not used.
        looks: The plan, its alpha the level that this variant is held to.
        margins: The smallest effects that matter, downwards (at most 0) and upwards; both 0 where all matter.
        resolution: See `spread`.

    Raises:
        InputError: An argument outside its range.
    """
    d = differences_of(differences, fewest=1)
    require("margins", list(margins), margins == NO_MARGINS or margins[0] < 0 < margins[1], "below and above 0")
    found: list[Look] = []
    p_values: list[float] = []
    of_no_effect: list[float] = []
    for k in (k for k in looks.seeds if k <= d.size):
        first = d[:k]
        mean = float(first.mean())
        half = critical(k - 1, looks.level(k)) * spread(first, resolution=resolution) / math.sqrt(k)
        p_values.append(paired_t_p_value(first, resolution=resolution))
        if margins != NO_MARGINS:
            of_no_effect.append(min(1.0, 2 * equivalence_p_value(first, *margins, resolution=resolution)))
        found.append(
            Look(
                seeds=k,
                difference=mean,
                interval=(mean - half, mean + half),
                boundary=(-half, half),
                level=looks.level(k),
                p_at_look=p_values[-1],
                p_value=looks.p_value(p_values),
                p_no_effect=looks.p_value(of_no_effect) if of_no_effect else None,
                futile=is_futile(first, looks, margins=margins, resolution=resolution),
            )
        )
    return tuple(found)


def is_futile(
    differences: ArrayLike, looks: Looks, *, margins: tuple[float, float] = NO_MARGINS, resolution: float = 0.0
) -> bool:
    """Whether it is unlikely by now that K seeds decide.

        LR = exp(-k e^2 / 2) 1F1(k/2; 1/2; (k e^2 / 2) T^2 / (T^2 + k - 1)) <= (1 - power) / (1 - level)

    e is the effect, in standard deviations of the differences, that a paired t-test of K seeds finds with 80 % power at
    the level alpha. It is never futile below 4 seeds; it is where all differences are 0.

    With margins a study can also show that there is no effect as large. It is futile only where that is unlikely too:
    where without any effect, and with the spread seen so far, K seeds show it in less than a fifth of studies.

    Args:
        differences: (k,) paired differences so far, k >= 2.
        looks: As for `path`.
        margins: Likewise.
        resolution: See `spread`.

    Raises:
        InputError: As `spread`.
    """
    special = special_functions()

    d = differences_of(differences, fewest=2)
    k, s = d.size, spread(d, resolution=resolution)
    if k < FIRST_FUTILITY:
        return False
    if not d.any():
        return True
    if not s or _may_be_equivalent(s, looks, margins):
        return False
    effect = detectable_effect(1.0, looks.most_seeds, alpha=looks.alpha)
    half, squared = k * effect**2 / 2, k * (float(d.mean()) / s) ** 2
    ratio = math.exp(-half) * special.hyp1f1(k / 2, 0.5, half * squared / (squared + k - 1))
    return math.isfinite(ratio) and float(ratio) <= (1 - POWER) / _CONFIDENCE


def _may_be_equivalent(s: float, looks: Looks, margins: tuple[float, float]) -> bool:
    """Whether the last look's interval lies between the margins in a fifth of studies without an effect."""
    special = special_functions()

    reach = min(-margins[0], margins[1])
    if not reach:
        return False
    most = looks.most_seeds
    room = reach * math.sqrt(most) / s - critical(most - 1, looks.level(most))
    return float(2 * special.stdtr(most - 1, room) - 1) >= 1 - POWER
