"""Guards: other metrics that may get worse by a limit at most."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from truelift.errors import InputError, known
from truelift.judging import metric as of_metric
from truelift.judging.scale import could_be_fractions, scaled
from truelift.metrics import PERCENT_OF_BASELINE, Metric, percent
from truelift.records.elsewhere.cells import finite
from truelift.records.elsewhere.names import resolved
from truelift.verdicts import SCALES, Scale


@dataclass(frozen=True)
class AskedGuard:
    """One guard."""

    metric: Metric
    limit: float
    relative: bool
    """Whether the limit is in percent of the baseline."""

    scale: Scale | None
    """Of its results, where the user said it."""

    def record(self, results: Iterable[float], of_metric: Scale | None) -> tuple[dict[str, Any], float]:
        """What a study.json says of it, and what its results are multiplied by.

        Args:
            results: All that there are, finite.
            of_metric: What was said of the judged metric. Where that is in fractions, a guard whose results look like
                fractions is so too; nothing else is taken from it.

        Raises:
            InputError: Its results look like fractions, and nobody says whether they are; or they are not within the
                scale that was said.
        """
        values, scale, name = list(results), self.scale, self.metric.name
        if scale is None and could_be_fractions(self.metric, values):
            if of_metric == "fraction":
                scale = "fraction"
            elif self.relative:  # percent of the baseline are the same in any scale
                scale = "none"
            else:
                raise InputError(
                    f"results of the guard {name} look like fractions, {min(values):g} to {max(values):g}: give its "
                    f"limit as {self.limit:g}:fraction, and it is in points; or as {self.limit:g}:points if they are "
                    "percent."
                )
        metric, factor = scaled(self.metric, values, scale, said=lambda scale: f"guard {name}: the scale {scale}")
        relative = self.relative or metric.relative
        form = {
            "limit": self.limit,
            "unit": PERCENT_OF_BASELINE if relative else metric.unit,
            "higher_is_better": metric.higher_is_better,
            "relative": relative,
            "scale": "points" if metric.in_points and not relative else "none" if scale == "none" else None,
        }
        return form, factor


def read(guards: Mapping[str, float | str], metrics: Iterable[str], judged: str) -> tuple[AskedGuard, ...]:
    """The guards that were asked for.

    Args:
        guards: To a metric's name by how much it may get worse: in its unit, or "3 %" of the baseline. "0.5:fraction"
            says of its results that they are fractions, as points and none say what they are.
        metrics: The names that there are.
        judged: The metric that is judged, which is no guard.

    Raises:
        InputError: A metric is not there, is named twice, is the judged one, its direction cannot be told, or a limit
            is none.
    """
    names = list(metrics)
    found = []
    meant: dict[str, str] = {}
    for given, limit in guards.items():
        name = resolved(given, names)
        known("guard", name, names)
        if name in meant:
            raise InputError(f'guard {name} is given twice, as "{meant[name]}" and "{given}".')
        meant[name] = given
        if name == judged:
            raise InputError(f"guard must be another metric than the one that is judged, got {name}.")
        try:
            metric = of_metric.named(name, None)
        except InputError:
            raise InputError(
                f"guard {name}: its name does not say which way is better, so it cannot be a guard. Give it one that "
                "does, such as loss, error or seconds at its end."
            ) from None
        found.append(AskedGuard(metric, *_limit(name, limit)))
    return tuple(found)


def parse(texts: Iterable[str]) -> dict[str, str]:
    """What `--guard NAME=LIMIT` says, each once.

    Raises:
        InputError: One is of another form.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, limit = text.rpartition("=")
        if not equals or not name or name in found:
            raise InputError(f"--guard must be METRIC=LIMIT, each metric once, got {text}.")
        found[name] = limit
    return found


def _limit(name: str, given: float | str) -> tuple[float, bool, Scale | None]:
    """The limit, whether it is in percent of the baseline, and the scale that stands behind it."""
    if (share := percent(given)) is not None:
        return share, True, None
    number, colon, said = str(given).partition(":")
    most = None if isinstance(given, bool) else finite(number)
    scale = next((one for one in SCALES if one == said), None)
    if most is None or most < 0 or (colon and scale is None):
        raise InputError(
            f'guard {name} must have a limit of at least 0, or percent such as "3 %", got {given}. Behind a limit may '
            f"stand the scale of its results, such as 0.5:fraction ({', '.join(SCALES)})."
        )
    return most, False, scale
