"""Which step of a run counts, where a run has several."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from truelift.errors import InputError, known
from truelift.judging import metric as of_metric
from truelift.metrics import Metric
from truelift.records.elsewhere import OneRun, RunTable, Series
from truelift.records.elsewhere.names import plain, resolved

FORMS = "last, best-validation, best=METRIC or step=N"


@dataclass(frozen=True)
class At:
    """Where a run is looked at."""

    kind: Literal["last", "best", "step"]
    chosen_by: str | None = None
    """The metric whose best step counts."""
    lower: bool = False
    """Whether its lowest is best."""
    step: float = math.nan

    def step_of(self, run: OneRun, name: str) -> float | None:
        """The step of a run that counts for a metric; None where it has none such."""
        if self.kind == "last":
            return float(run.series[name].steps[-1]) if name in run.series else None
        if self.kind == "step":
            return self.step
        found = run.series.get(self.chosen_by or "")
        if found is None or np.isnan(found.values).all():
            return None
        return float(found.steps[np.nanargmin(found.values) if self.lower else np.nanargmax(found.values)])


def value_at(series: Series, step: float | None) -> float | None:
    """The value at a step; None where there is none."""
    if step is None:
        return None
    where = np.flatnonzero(series.steps == step)
    return float(series.values[where[-1]]) if where.size else None


def parse(text: str, metric: Metric, table: RunTable) -> At:
    """What `--at` says.

    Args:
        text: One of FORMS.
        metric: The one that is judged.
        table: The runs.

    Raises:
        InputError: It is none of the forms, or names what is not there.
    """
    kind, equals, argument = text.partition("=")
    if text == "last":
        return At("last")
    if text == "best-validation":
        chosen_by = of_metric.of_validation(metric.name, table.metrics)
        return At("best", chosen_by, not metric.higher_is_better)  # it is the same, of other images
    if kind == "best" and equals:
        argument = resolved(argument, table.metrics)
        known("metric", argument, table.metrics)
        return At("best", argument, _lower(argument, metric))
    if kind == "step" and equals:
        try:
            step = float(argument)
        except ValueError:
            step = math.nan
        if not math.isfinite(step):
            raise InputError(f"--at step must be a number, got {argument}.")
        _refuse_unless_some(step, metric.name, table)
        return At("step", step=step)
    raise InputError(f"--at must be {FORMS}, got {text}.")


def _refuse_unless_some(step: float, name: str, table: RunTable) -> None:
    """Refuse a step at which no run was looked at: a misspelt number, not runs that failed."""
    there = sorted({float(at) for run in table.runs if name in run.series for at in run.series[name].steps})
    if there and step not in there:
        told = (
            ", ".join(f"{at:g}" for at in there)
            if len(there) <= 12
            else f"{len(there)} from {there[0]:g} to {there[-1]:g}"
        )
        raise InputError(f"--at step must be one at which {name} is there ({told}), got {step:g}.")


def _lower(name: str, metric: Metric) -> bool:
    """Whether a metric is best where it is lowest: as its name tells, else as the judged one's of the same ending."""
    try:
        return not (metric if name == metric.name else of_metric.named(name, None)).higher_is_better
    except InputError:
        if plain(name).split("_")[-1] != plain(metric.name).split("_")[-1]:
            raise InputError(
                f"--at best= needs a metric whose name tells which way is better, got {name}: --better is of "
                f"{metric.name}."
            ) from None
        return not metric.higher_is_better


def words(at: At, table: RunTable) -> str:
    """What counts, for a reader."""
    counted = (table.steps_from or "step").removeprefix("the column ")
    if at.kind == "last":
        return f"the last {counted} of each run"
    return f"the {counted} with the best {at.chosen_by}" if at.kind == "best" else f"{counted} {at.step:g}"


def warnings(at: At, metric: Metric, table: RunTable) -> list[str]:
    """What makes the numbers look better than they are, or runs unequal."""
    found = []
    if at.kind == "best" and of_metric.is_of_test(at.chosen_by or ""):
        found.append(f"{at.chosen_by} is of the test set: {_FLATTERS}")
    elif of_metric.is_best_of_test(metric.name):
        found.append(f"{metric.name} is the best that was seen on the test set: {_FLATTERS}")
    elif at.kind == "best" and at.chosen_by == metric.name:
        found.append(f"{metric.name} is judged at the step it was chosen by itself, and so looks better than it is.")
    if at.kind == "last":
        ends = [(run.label, end) for run in table.runs if (end := at.step_of(run, metric.name)) is not None]
        usual = Counter(end for _, end in ends).most_common(1)
        other = [f"{label} at {end:g}" for label, end in ends if end != usual[0][0]]
        if other and usual[0][1] > 1:
            more = f" and {len(other) - 5} more" if len(other) > 5 else ""
            found.append(f"Most runs end at {usual[0][0]:g}, but {'; '.join(other[:5])}{more}.")
    return found


_FLATTERS = (
    "to choose a step by it flatters every variant, and noisy ones most. Choose by a validation set (--at "
    "best-validation), or take the last."
)
