"""Arguments of the statistics, checked: one line that names the argument, the rule and the value."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truelift.errors import InputError, real, whole
from truelift.metrics import LARGEST

Array = NDArray[np.float64]


def results_of(name: str, values: ArrayLike) -> Array:
    """Results of one variant, (k,), NaN for a missing run."""
    try:
        results = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f'results of "{name}" must be one number a seed, got {values!r}.') from None
    if results.ndim != 1:
        raise InputError(f'results of "{name}" must be one number a seed, got shape {results.shape}.')
    if (np.abs(results) > LARGEST).any():
        rule = f"finite and at most {LARGEST:g}, or NaN for a missing run"
        raise InputError(f'results of "{name}" must be {rule}, got {results.tolist()}.')
    return results


def arms_of(baseline: ArrayLike, variants: Mapping[str, ArrayLike]) -> list[Array]:
    """The baseline's results, then those of each variant, in their order.

    Raises:
        InputError: Variants are not by name, or results are no numbers.
    """
    if not isinstance(variants, Mapping):
        given = type(variants).__name__
        raise InputError(f'variants must be results by name, such as {{"mixup": [91.2, 90.7]}}, got {given}.')
    return [results_of("baseline", baseline), *(results_of(name, values) for name, values in variants.items())]


def differences_of(values: ArrayLike, *, fewest: int) -> Array:
    """Paired differences, (k,), all finite."""
    d = np.asarray(values, dtype=np.float64)
    if d.ndim != 1 or d.size < fewest:
        raise InputError(f"differences must be {fewest} numbers or more, got shape {d.shape}.")
    if not (np.abs(d) <= 2 * LARGEST).all():
        raise InputError(f"differences must be finite and at most {2 * LARGEST:g}, got {d.tolist()}.")
    return d


def enough_seeds(seeds: int) -> None:
    """Refuse fewer than two seeds."""
    whole("seeds", seeds, 2, 10**18)


def positive(name: str, value: float) -> None:
    """Refuse what is not finite and above 0."""
    real(name, value, lambda v: 0 < v < math.inf, "finite and above 0")


def at_least_zero(name: str, value: float) -> None:
    """Refuse what is not finite and at least 0."""
    real(name, value, lambda v: 0 <= v < math.inf, "finite and at least 0")


def fraction(name: str, value: float) -> None:
    """Refuse what is not between 0 and 1."""
    real(name, value, lambda v: 0 < v < 1, "between 0 and 1")


def planned_power(power: float, alpha: float) -> None:
    """Refuse a level outside (0, 1) and a power that is not above it."""
    fraction("alpha", alpha)
    # Without any effect the power is alpha already.
    real("power", power, lambda p: alpha < p < 1, f"between alpha = {alpha} and 1")
