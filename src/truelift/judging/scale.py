"""Is an accuracy 0.91 or 91? Known before it is judged, since a wrong guess is a wrong verdict."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from truelift.errors import InputError
from truelift.judging.metric import is_known
from truelift.metrics import Metric
from truelift.verdicts import Scale


def as_option(scale: Scale) -> str:
    """How the command line says it."""
    return f"--scale {scale}"


def in_python(scale: Scale) -> str:
    """How a call says it."""
    return f'scale="{scale}"'


def scaled(
    metric: Metric, results: Iterable[float], scale: Scale | None, *, said: Callable[[Scale], str] = as_option
) -> tuple[Metric, float]:
    """The metric as it is judged, and what its results are multiplied by: fractions are judged in points.

    Args:
        metric: As its name tells it.
        results: All that there are, finite.
        scale: points: from 0 to 100; fraction: from 0 to 1; none: neither; None: as its name tells it.
        said: How a scale is said, for messages.

    Raises:
        InputError: A metric that is in points by its name has results between 0 and 1 alone, and nobody says why; a
            fraction is not within 0 and 1; or a loss, a time or a count is called either.
    """
    values = list(results)
    if scale in ("points", "fraction") and not metric.in_points and is_known(metric.name):
        raise InputError(f"{said(scale)} is for accuracies, errors and the like, got {metric.name}.")
    low, high = min(values, default=0.0), max(values, default=0.0)
    reach = f"{low:g} to {high:g}" if low < high else f"{low:g}"
    if scale == "fraction":
        if low < 0 or high > 1:
            raise InputError(f"{said(scale)} needs results of {metric.name} within 0 and 1, got {reach}.")
        return replace(metric, unit="points", relative=False), 100.0
    if scale == "none":
        return replace(metric, unit="" if metric.in_points else metric.unit), 1.0
    if scale is None and could_be_fractions(metric, values):
        raise InputError(
            f"results of {metric.name} look like fractions, {reach}: give {said('fraction')}, and their differences "
            f"are in points; or {said('points')} if they are percent."
        )
    return metric if scale is None else replace(metric, unit="points"), 1.0


def could_be_fractions(metric: Metric, results: Sequence[float]) -> bool:
    """Whether a metric that is in points by its name has results within 0 and 1 alone."""
    return metric.in_points and len(results) > 0 and min(results) >= 0 and max(results) <= 1


def fractions_beside(results: Mapping[str, Sequence[float]]) -> list[str]:
    """Other metrics that are fractions too, where the judged one is: in points by their names, and within 0 and 1."""
    return [name for name, values in results.items() if could_be_fractions(Metric.shown(name), values)]
