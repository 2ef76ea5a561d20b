"""Is an accuracy 0.91 or 91? Known before it is judged, since a wrong guess is a wrong verdict."""

from collections.abc import Iterable
from dataclasses import replace

from truelift.errors import InputError
from truelift.metrics import Metric
from truelift.verdicts import Scale


def scaled(metric: Metric, results: Iterable[float], scale: Scale | None) -> tuple[Metric, float]:
    """The metric as it is judged, and what its results are multiplied by: fractions are judged in points.

    Args:
        metric: As its name tells it.
        results: All that there are, finite.
        scale: points: from 0 to 100; fraction: from 0 to 1; none: neither; None: as its name tells it.

    Raises:
        InputError: A metric that is in points by its name has results between 0 and 1 alone, and nobody says why; or a
            fraction is not within 0 and 1.
    """
    values = list(results)
    low, high = min(values, default=0.0), max(values, default=0.0)
    if scale == "fraction":
        if low < 0 or high > 1:
            raise InputError(
                f"--scale fraction needs results of {metric.name} within 0 and 1, got {low:g} to {high:g}."
            )
        return replace(metric, unit="points", relative=False), 100.0
    if scale == "none":
        return replace(metric, unit="" if metric.in_points else metric.unit), 1.0
    if scale is None and metric.in_points and values and low >= 0 and high <= 1:
        raise InputError(
            f"results of {metric.name} look like fractions, {low:g} to {high:g}: give --scale fraction, and their "
            "differences are in points; or --scale points if they are percent."
        )
    return metric if scale is None or metric.relative else replace(metric, unit="points"), 1.0
