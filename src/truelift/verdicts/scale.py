"""The scale of results: percent (points), fractions of one, or neither. Known before anything is judged.

A fraction under a smallest effect in points is a wrong verdict: +0.02 of one is two points, and not smaller than half a
point. So what is not certain is asked, and never guessed.
"""

from collections.abc import Iterable
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError, known
from truelift.metrics import Scale
from truelift.verdicts.checks import Array

SCALES: tuple[Scale, ...] = get_args(Scale)

FAR_APART = 20.0
"""Times: variants whose results lie further apart, on both sides of 1, are not of one scale."""


def in_points(name: str, arms: Iterable[ArrayLike], scale: Scale | None) -> list[Array]:
    """Results of a metric whose differences are told in points, as percent from 0 to 100.

    Args:
        name: The metric's, for messages.
        arms: One array of results a variant, the baseline among them; NaN marks a missing run.
        scale: points: they are; fraction: from 0 to 1, so they are multiplied by 100; none: taken as they stand,
            unchecked; None: it was not said, so the results are looked at.

    Raises:
        InputError: The scale is not said and the results could be fractions; or they are outside the scale said.
    """
    if scale is not None:
        known("scale", scale, SCALES)
    results = [np.asarray(arm, dtype=np.float64) for arm in arms]
    if scale == "none":
        return results
    there = [arm[np.isfinite(arm)] for arm in results]
    there = [arm for arm in there if arm.size]
    values = np.concatenate(there) if there else np.empty(0)
    if scale == "fraction":
        _within(name, values, 1, scale)
        return [100 * arm for arm in results]
    if scale == "points":
        _within(name, values, 100, scale)
        return results
    # All 0: nothing to be mistaken for a hundredth of itself.
    if values.any() and values.min() >= 0 and values.max() <= 1:
        raise InputError(
            f'all results of {name} lie between 0 and 1: write scale = "fraction" if they are fractions (1 is all), '
            'or scale = "points" if they are percent (100 is all).'
        )
    for one in there:
        for other in there:
            if one.min() >= 0 and 0 < one.max() <= 1 and other.min() > 1 and other.min() > FAR_APART * one.max():
                raise InputError(
                    f"results of {name} are not of one scale: one variant's reach {one.max():g}, another's begin at "
                    f'{other.min():g}; have all write percent, or write scale = "points" if they do.'
                )
    return results


def _within(name: str, values: Array, most: int, scale: str) -> None:
    outside = values[(values < 0) | (values > most)]
    if outside.size:
        raise InputError(
            f'results of {name} must lie between 0 and {most} with scale = "{scale}", got {outside[0]:g}; '
            f'{"points: 0 to 100; " if scale == "fraction" else ""}write scale = "none" for what is neither.'
        )
