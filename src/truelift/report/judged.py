"""The rows of one metric: its results as they are told, and each variant judged."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from truelift.errors import InputError
from truelift.metrics import Limit, Metric
from truelift.records import Predictions, Run
from truelift.report.asked import Asked
from truelift.report.kept import KeptPredictions, Key
from truelift.report.rows import Row
from truelift.verdicts import Comparison, Guard, compare, compare_unpaired, example_standard_error, in_points
from truelift.verdicts.paired import is_rounding
from truelift.verdicts.wording import failed_for

Results = Mapping[Key, Mapping[str, float]]
"""The metrics of each done run, by variant and seed."""


@dataclass(frozen=True)
class Found:
    """What the runs left."""

    results: Results
    predictions: KeptPredictions
    failed: Mapping[Key, Run] = field(default_factory=dict)
    """Runs that failed; other missing ones are only not there yet."""
    test_images: Mapping[Key, int] = field(default_factory=dict)
    """How many a run has, where its result says so."""
    held_out: float | None = None
    """The largest n_test / n_train of the runs that tell it; None where none does."""
    _errors: dict[tuple[object, ...], Mapping[str, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What `example_errors` found, by the part of a plan that it depends on."""

    @cached_property
    def images(self) -> int | None:
        """Test images that every run has, told or predicted; None where none is known."""
        counts = (self.test_images.get(run) or self._predicted(run) for run in self.results)
        return min(filter(None, counts), default=None)

    def _predicted(self, run: Key) -> int | None:
        found = self.predictions.get(run)
        return None if found is None else len(found.labels)

    def step(self, metric: Metric) -> float:
        """A metric's smallest step; of a class's recall it is that of one image of the class."""
        of_class = self.predictions.images_of_class(metric.name)
        return 100 / of_class if of_class else metric.resolution(self.images)

    def example_errors(self, asked: Asked) -> Mapping[str, float]:
        """Each variant's standard error over test images, once for all metrics (`_example_errors`)."""
        on = asked.order, asked.seeds, asked.folds
        if on not in self._errors:
            self._errors[on] = _example_errors(asked, self.predictions)
        return self._errors[on]

    def only(self, runs: Collection[Key]) -> "Found":
        """What some of the runs left."""
        return replace(
            self,
            results={run: metrics for run, metrics in self.results.items() if run in runs},
            predictions=self.predictions.only(runs),
            failed={key: run for key, run in self.failed.items() if key in runs},
        )


def judged(
    asked: Asked,
    metric: Metric,
    found: Found,
    *,
    smallest_effect: float,
    guards: Sequence[Limit] = (),
    without: Collection[str] = (),
) -> tuple[Row, ...]:
    """Each variant's row of a metric, the baseline first; the variants of `without` have no verdict.

    Raises:
        InputError: The scale of its results cannot be told, or a relative comparison has results that are not above 0.
    """
    kept = tuple(variant for variant in asked.variants if variant.name not in without)
    comparisons: Mapping[str, Comparison] = {}
    if len(kept) > 1 or not without:
        part = replace(asked, variants=kept)
        comparisons = compared(part, metric, found, smallest_effect=smallest_effect, guards=guards)
    rows = rows_of(asked, metric, found, comparisons)
    return tuple(replace(row, judged=False) if row.variant in without else row for row in rows)


def rows_of(asked: Asked, metric: Metric, found: Found, comparisons: Mapping[str, Comparison]) -> tuple[Row, ...]:
    """The rows of variants that were judged already, the baseline first.

    Raises:
        InputError: As `values_of`.
    """
    values = values_of(asked, metric, found.results)
    # In points, so of no use beside a difference in percent.
    errors = found.example_errors(asked) if metric.over_test_images else {}
    step = found.step(metric) if asked.paired and not metric.relative else 0.0
    return tuple(
        Row(
            name,
            tuple(values[name].tolist()),
            comparisons.get(name),
            errors.get(name),
            judged=metric.judged or name == asked.baseline,
            step=step if name in comparisons and _is_rounding(comparisons[name], step) else 0.0,
        )
        for name in asked.order
    )


def _is_rounding(comparison: Comparison, step: float) -> bool:
    """Whether an interval is as wide as it is by the metric's step alone."""
    return comparison.interval is not None and is_rounding(np.array(comparison.differences), step)


def compared(
    asked: Asked, metric: Metric, found: Found, *, smallest_effect: float, guards: Sequence[Limit] = ()
) -> dict[str, Comparison]:
    """Each variant but the baseline, judged by a metric.

    Raises:
        InputError: As `judged`.
    """
    values = values_of(asked, metric, found.results)
    levels = None if asked.referee is None or metric != asked.metric else asked.referee.levels
    # Without the runs' own numbers: all that is not held out is trained on.
    ratio = None if asked.folds is None else found.held_out or 1 / (asked.folds - 1)
    test = partial(compare, looks=asked.looks, levels=levels, held_out=ratio) if asked.paired else compare_unpaired
    comparisons = test(
        values[asked.baseline],
        {name: values[name] for name in asked.order[1:]},
        higher_is_better=metric.higher_is_better,
        smallest_effect=smallest_effect,
        relative=metric.relative,
        resolution=found.step(metric),
        unit=metric.unit,
        scale="none",  # `values_of` has looked
        may_be_constant=metric.may_be_constant,
        failed={name: _failed(asked, name, found) for name in asked.order[1:]},
        baseline_failed=_failed(asked, asked.baseline, found),
        guards=[_guard(asked, limit, found) for limit in guards],
        pooling=asked.pooling if len(asked.order) > 3 else "none",
    )
    return {name: _with_why(asked, name, comparison, found) for name, comparison in comparisons.items()}


def _with_why(asked: Asked, name: str, comparison: Comparison, found: Found) -> Comparison:
    """A comparison that says what failed, where all runs of the variant did, or of the baseline."""
    if not comparison.failed_throughout:
        return comparison
    whose = name if comparison.ground == "all failed" else asked.baseline
    runs = [found.failed[whose, seed] for seed in asked.seeds if (whose, seed) in found.failed]
    why = list(dict.fromkeys(run.failure()["reason"] for run in runs))
    # A run that was made elsewhere has none.
    logs = (
        run
        for run in runs
        if run.failure()["reason"] == why[0]
        and all(os.path.lexists(run.folder / name) for name in ("failure.json", "log.txt"))
    )
    log = next(("/".join((*run.folder.parts[-3:], "log.txt")) for run in logs), "")
    return replace(comparison, reason=failed_for(comparison.reason, why, log))


def values_of(asked: Asked, metric: Metric, results: Results) -> dict[str, NDArray[np.float64]]:
    """A metric's results by variant, (k,) each, NaN for a missing run; fractions as percent where its scale says so.

    Raises:
        InputError: The scale is not known and they could be fractions, or they lie outside of it.
    """
    values = {
        name: np.array([results.get((name, seed), {}).get(metric.name, math.nan) for seed in asked.seeds])
        for name in asked.order
    }
    if not metric.in_points:
        return values
    try:
        return dict(zip(values, in_points(metric.name, values.values(), metric.scale), strict=True))
    except InputError as error:
        raise InputError(f"{error} {_where_scale(asked, metric.name)}") from None


def _where_scale(asked: Asked, name: str) -> str:
    """Where the scale of a metric is said."""
    if asked.made_elsewhere:
        return f"It is given as --scale, where {name} is what is judged."
    if asked.of_function:
        return f"It is given to truelift.compare, where {name} is what is judged, and no finished run is repeated."
    return "The key belongs into the study file; given the same command again, no finished run is repeated."


def _guard(asked: Asked, limit: Limit, found: Found) -> Guard:
    values = values_of(asked, limit.metric, found.results)
    return Guard(
        metric=asked.guard_label(limit.metric),
        limit=limit.most,
        higher_is_better=limit.metric.higher_is_better,
        baseline=values[asked.baseline],
        variants={name: values[name] for name in asked.order[1:]},
        relative=limit.metric.relative,
        unit=limit.metric.unit,
        resolution=found.step(limit.metric),
    )


def _failed(asked: Asked, name: str, found: Found) -> list[bool]:
    return [(name, seed) in found.failed for seed in asked.seeds]


def _example_errors(asked: Asked, predictions: Mapping[Key, Predictions]) -> dict[str, float]:
    """Each variant's standard error over test images, where two pairs or more have predictions for the same images."""
    if asked.folds is not None:  # each has other test images, although their labels may be the same
        return {}
    errors = {}
    for name in asked.order[1:]:
        pairs = [
            (predictions[asked.baseline, seed], predictions[name, seed])
            for seed in asked.seeds
            if (asked.baseline, seed) in predictions and (name, seed) in predictions
        ]
        if len(pairs) < 2 or len(pairs[0][0].labels) < 2:
            continue
        if all(np.array_equal(p.labels, pairs[0][0].labels) for pair in pairs for p in pair):
            correct = [np.stack([p.predicted == p.labels for p in column]) for column in zip(*pairs, strict=True)]
            errors[name] = example_standard_error(*correct)
    return errors
