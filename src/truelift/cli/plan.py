"""`truelift plan`."""

from truelift.errors import require
from truelift.verdicts import seeds_needed

CORRELATIONS = (0.0, 0.5, 0.75)
"""Of paired results, for which seeds are told."""


def plan(*, effect: float, sd: float, power: float = 0.8, alpha: float = 0.05, json: bool = False) -> int:
    """Say how many seeds a study needs.

    Args:
        effect: The smallest difference that matters, in the metric's unit; above 0.
        sd: Standard deviation of one variant's results over seeds, in the same unit; above 0.
        power: Chance to find such an effect; in (0, 1).
        alpha: Chance to find one where there is none; in (0, 1).
        json: Print it as JSON (docs/json.md).
    """
    require("effect", effect, effect > 0, "above 0")
    # Paired results correlate, and pairing takes the shared part of the noise out: sd of a difference = sd·√(2(1 − r)).
    needed = [
        (correlation, seeds_needed(effect, sd * (2 * (1 - correlation)) ** 0.5, power=power, alpha=alpha))
        for correlation in CORRELATIONS
    ]
    if json:
        from truelift.report.json_form import plan_form, to_json

        print(to_json(plan_form(effect, sd, power, alpha, needed)))
        return 0
    for correlation, seeds in needed:
        print(f"{seeds} seeds a variant where paired results correlate by {correlation:g}")
    print(
        f"to find a difference of {effect:g} between variants whose results have a standard deviation of {sd:g} "
        f"over seeds, {power:.0%} of the time, at a {alpha:.0%} level. Long trainings on one split correlate "
        "hardly at all; short ones, or with the split varied by the seed, by 0.5 to 0.9."
    )
    return 0
