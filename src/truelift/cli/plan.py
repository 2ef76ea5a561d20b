"""`truelift plan`."""

from truelift.errors import require
from truelift.verdicts import seeds_needed


def plan(*, effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Say how many seeds a study needs.

    Args:
        effect: The smallest difference that matters, in the metric's unit; above 0.
        sd: Standard deviation of one variant's results over seeds, in the same unit; above 0.
        power: Chance to find such an effect; in (0, 1).
        alpha: Chance to find one where there is none; in (0, 1).
    """
    require("effect", effect, effect > 0, "above 0")
    # Paired results correlate, and pairing takes the shared part of the noise out: sd of a difference = sd·√(2(1 − r)).
    for correlation in (0.0, 0.5, 0.75):
        needed = seeds_needed(effect, sd * (2 * (1 - correlation)) ** 0.5, power=power, alpha=alpha)
        print(f"{needed} seeds a variant where paired results correlate by {correlation:g}")
    print(
        f"to find a difference of {effect:g} between variants whose results have a standard deviation of {sd:g} "
        f"over seeds, {power:.0%} of the time, at a {alpha:.0%} level. Long trainings on one split correlate "
        "hardly at all; short ones, or with the split varied by the seed, by 0.5 to 0.9."
    )
    return 0
