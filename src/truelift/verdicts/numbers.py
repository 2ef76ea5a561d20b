"""Numbers for reading: as many digits as their noise allows."""

import math
from collections.abc import Iterable, Sequence

from truelift.verdicts.median import median

# Beyond this many, leading zeros hide the number.
_MOST_DIGITS = 6

# From here on nobody counts the digits.
_LARGE = 1e9


def digits(noise: Iterable[float], values: Sequence[float]) -> int:
    """Digits after the point that show two figures of the noise.

    Args:
        noise: Standard deviations or half-widths of intervals, one a row; NaN and 0 do not count.
        values: What is to be shown; it decides where there is no noise.

    Returns:
        One number for the whole column, by the median noise, so that one wild row does not coarsen the others; no more
        than give the largest value five figures.
    """
    known = [value for value in values if not math.isnan(value)]
    sizes = [size for size in noise if size > 0 and math.isfinite(size)]
    if not any(known) or not sizes:
        return 0 if all(float(value).is_integer() for value in known) else 2
    of_noise = math.ceil(1 - math.log10(median(sizes)))
    of_value = 4 - math.floor(math.log10(max(map(abs, known))))
    return max(0, min(of_noise, of_value))


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number with `digits` after the point; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    plus = "+" if sign else ""
    if digits > _MOST_DIGITS:
        return f"{value:{plus}.2e}"
    if abs(value) >= _LARGE:
        return f"{value:{plus}.3e}"
    rounded = round(value, digits)
    return f"{rounded:{plus}.{digits}f}" if rounded else f"{0:.{digits}f}"  # never -0.00


def p_value(value: float | None) -> str:
    """A p-value."""
    return "<0.001" if value is not None and value < 0.001 else number(value, digits=3)


def places_that_show(ends: Iterable[float], places: int) -> int:
    """`places` after the point, or one more where an end would read 0 and then does not.

    That would hide on which side of 0 it lies, and that is what an interval is looked at for.
    """
    return places + any(not round(end, places) and round(end, places + 1) for end in ends)
