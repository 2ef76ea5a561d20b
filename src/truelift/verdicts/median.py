"""The median."""

from collections.abc import Iterable


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two in the middle.

    As numpy's, to the last bit, which imports numpy.ma at its first call: a tenth of a small report. Python's own
    imports decimal and fractions.

    Args:
        values: At least one, none of them NaN.
    """
    ordered = sorted(map(float, values))
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
