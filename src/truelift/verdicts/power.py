"""How many seeds an effect needs, and the effect that a number of seeds can find."""

import math

from truelift.errors import real
from truelift.verdicts.checks import enough_seeds, fraction, planned_power, positive
from truelift.verdicts.special import special_functions
from truelift.verdicts.student import noncentrality, power_of

POWER = 0.8  # the customary chance of finding an effect that is there

_MOST_SEEDS = 10**18


def power_paired_t(effect: float, sd: float, seeds: int, alpha: float = 0.05) -> float:
    """The chance that a paired t-test at level `alpha` finds a true mean difference of `effect`.

        P(|T| > t_{k-1, 1 - alpha/2}),   T noncentral t with k - 1 degrees, noncentrality |effect| sqrt(k) / sd

    Args:
        effect: True mean difference; its sign does not matter.
        sd: Standard deviation of the paired differences, > 0, in the same units.
        seeds: Pairs k >= 2.
        alpha: Two-sided level, in (0, 1).

    Raises:
        InputError: For an argument outside its range.
    """
    real("effect", effect, math.isfinite, "finite")
    positive("sd", sd)
    enough_seeds(seeds)
    fraction("alpha", alpha)
    return power_of(abs(effect) * math.sqrt(seeds) / sd, seeds - 1, alpha)


def seeds_needed(effect: float, sd: float, *, power: float = POWER, alpha: float = 0.05) -> int:
    """The fewest pairs of seeds with which a paired t-test finds `effect`: the k of `power_paired_t`.

    Args:
        effect: True mean difference, not 0; its sign does not matter.
        sd: Of the paired differences, > 0, in the same units. With a correlation of c between the paired results,
            sd_of_differences = sd_of_results sqrt(2 (1 - c)).
        power: Chance of finding the effect, in (alpha, 1).
        alpha: Two-sided level, in (0, 1).

    Returns:
        Pairs; at least 2, and no more than 10¹⁸ are told.

    Raises:
        InputError: For an argument outside its range.
    """
    special = special_functions()

    positive("sd", sd)
    real("effect", effect, math.isfinite, "finite")
    positive("the size of effect", abs(effect))
    planned_power(power, alpha)
    size = abs(effect) / sd

    def reached(seeds: int) -> float:
        return power_of(size * math.sqrt(seeds), seeds - 1, alpha)

    # The normal test needs a few seeds less than the t-test; above a million that is no difference worth a search.
    quantiles = float(special.ndtri(1 - alpha / 2) + special.ndtri(power))
    if not quantiles < 1e9 * size:  # the square would be without bound
        return _MOST_SEEDS
    seeds = max(2, math.ceil((quantiles / size) ** 2))
    if seeds > 1_000_000:
        return seeds
    while seeds > 2 and reached(seeds - 1) >= power:
        seeds -= 1
    while reached(seeds) < power:
        seeds += 1
    return seeds


def detectable_effect(sd: float, seeds: int, *, power: float = POWER, alpha: float = 0.05) -> float:
    """The mean difference that a paired t-test with k seeds finds with the given power.

    Args:
        sd: Standard deviation of the paired differences, > 0.
        seeds: Pairs k >= 2.
        power: Chance of finding the effect, in (alpha, 1).
        alpha: Two-sided level, in (0, 1).

    Returns:
        A size > 0 in units of `sd`: `power_paired_t` of it is `power`.

    Raises:
        InputError: For an argument outside its range.
    """
    positive("sd", sd)
    enough_seeds(seeds)
    planned_power(power, alpha)
    return noncentrality(seeds - 1, alpha, power) * sd / math.sqrt(seeds)
