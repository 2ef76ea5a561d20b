"""Everything that a report says, computed once from a study's records; its forms only show it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from truelift.metrics import LOGGED, Metric
from truelift.records import Predictions, Run, Status, Study
from truelift.report.asked import Asked, read_asked
from truelift.report.curves import Picture, pictures
from truelift.report.environments import Environment, environments
from truelift.report.panels import Panel, panels
from truelift.report.published import Beside, beside
from truelift.report.rows import Row, difference_digits
from truelift.report.tradeoff import Results, TradeOff, trade_off
from truelift.verdicts import compare, compare_unpaired, example_standard_error
from truelift.verdicts.wording import Headline, headline, missing_runs

_Predictions = Mapping[tuple[str, int], Predictions]


@dataclass(frozen=True)
class Summary:
    """All that the report says."""

    folder: Path
    """The study's, where the report is written."""
    asked: Asked
    rows: tuple[Row, ...]
    """The baseline first."""
    headlines: Mapping[str, Headline]
    """By variant, the baseline left out."""
    others: Mapping[str, tuple[Row, ...]]
    """The other metrics, by name."""
    problems: tuple[str, ...]
    """Failed and missing runs, one line for each variant and reason."""
    published: tuple[Beside, ...]
    """Published figures beside ours."""
    trade_off: TradeOff
    """Savings of time, and the verdicts at equal time."""
    pictures: tuple[Picture, ...]
    """Curves of training, a picture a number."""
    panels: tuple[Panel, ...]
    """Two-dimensional features."""
    seconds: Mapping[str, float]
    """Seconds of training, by variant, over all done runs; empty where a program does not say."""
    environments: tuple[Environment, ...]

    @property
    def metric(self) -> Metric:
        """The study's."""
        return self.asked.metric

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows with a verdict."""
        return tuple(row for row in self.rows if row.comparison is not None)


def summarise(study: Study) -> Summary:
    """Compare every variant with the baseline on every metric that is there.

    Raises:
        InputError: The study's metric is relative and its baseline's mean is not above 0.
    """
    asked = read_asked(study.plan)
    # Once for each run, so that a study that still runs is seen at one moment by all parts of the report.
    statuses = [(run, run.status) for run in study.runs]
    done = [run for run, status in statuses if status == "done"]
    results: Results = {(run.variant, run.seed): run.result()["metrics"] for run in done}
    predictions = {(run.variant, run.seed): found for run in done if (found := run.predictions())}
    ran_in = environments(study.runs)

    rows = _rows(asked, asked.metric, results, predictions, asked.smallest_effect)
    lengths = asked.other_lengths()
    digits = difference_digits(rows)
    metric = asked.metric
    return Summary(
        folder=study.folder,
        asked=asked,
        rows=rows,
        headlines={
            row.variant: headline(row.variant, row.comparison, metric=metric.label, unit=metric.unit, digits=digits)
            for row in rows
            if row.comparison is not None
        },
        others=_others(asked, results, predictions),
        problems=_problems(statuses, metric, results),
        published=beside(rows, asked.published, comparable=not asked.changed),
        trade_off=trade_off(
            rows,
            results,
            asked.seeds,
            metric,
            on_cpu=all(environment.on_cpu for environment in ran_in),
            lengths=lengths,
            smallest_effect=asked.smallest_effect,
        ),
        pictures=pictures(done, [variant.name for variant in asked.variants]),
        panels=panels(done, asked.order),
        seconds=_seconds(asked, results),
        environments=ran_in,
    )


def _others(asked: Asked, results: Results, predictions: _Predictions) -> dict[str, tuple[Row, ...]]:
    others = {}
    for name in (logged.name for logged in LOGGED):
        if name != asked.metric.name and _comparable(name, asked.baseline, results):
            other = Metric.named(name)
            # What is too small to matter in test accuracy is so in test error: else the two would contradict.
            same_scale = other.in_points and asked.metric.in_points
            effect = asked.smallest_effect if same_scale else 0.0
            others[name] = _rows(asked, other, results, predictions, effect)
    return others


def _comparable(name: str, baseline: str, results: Results) -> bool:
    """Whether all done runs have the metric and, for a relative one, the baseline something to be held against."""
    if not results or not all(name in metrics for metrics in results.values()):
        return False
    of_baseline = [metrics[name] for (variant, _), metrics in results.items() if variant == baseline]
    return not Metric.named(name).relative or all(value > 0 for value in of_baseline)


def _rows(
    asked: Asked, metric: Metric, results: Results, predictions: _Predictions, smallest_effect: float
) -> tuple[Row, ...]:
    values = {
        name: np.array([results.get((name, seed), {}).get(metric.name, math.nan) for seed in asked.seeds])
        for name in asked.order
    }
    images = min((len(p.labels) for p in predictions.values()), default=None)
    comparisons = (compare if asked.paired else compare_unpaired)(
        values[asked.baseline],
        {name: values[name] for name in asked.order[1:]},
        higher_is_better=metric.higher_is_better,
        smallest_effect=smallest_effect,
        relative=metric.relative,
        resolution=metric.resolution(images),
        unit=metric.unit,
        scale=asked.metric_scale if metric == asked.metric else "none",  # of the others nothing was said
    )
    # In points, so of no use beside a difference in percent.
    errors = _example_errors(asked, predictions) if metric.over_test_images else {}
    return tuple(
        Row(name, tuple(values[name].tolist()), comparisons.get(name), errors.get(name)) for name in asked.order
    )


def _example_errors(asked: Asked, predictions: _Predictions) -> dict[str, float]:
    """Each variant's standard error over test images, where every pair has predictions for the same images."""
    errors = {}
    for name in asked.order[1:]:
        pairs = [
            (predictions[asked.baseline, seed], predictions[name, seed])
            for seed in asked.seeds
            if (asked.baseline, seed) in predictions and (name, seed) in predictions
        ]
        same = pairs and all(np.array_equal(p.labels, pairs[0][0].labels) for pair in pairs for p in pair)
        if same and len(pairs[0][0].labels) > 1:
            correct = [np.stack([p.predicted == p.labels for p in column]) for column in zip(*pairs, strict=True)]
            errors[name] = example_standard_error(*correct)
    return errors


def _problems(statuses: Sequence[tuple[Run, Status]], metric: Metric, results: Results) -> tuple[str, ...]:
    seeds: dict[tuple[str, str], list[int]] = {}
    for run, status in statuses:
        why = _problem(run, status, metric, results)
        if why is not None:
            seeds.setdefault((run.variant, why), []).append(run.seed)
    return tuple(missing_runs(variant, which, why) for (variant, why), which in seeds.items())


def _problem(run: Run, status: Status, metric: Metric, results: Results) -> str | None:
    if status == "failed":
        return f"failed: {run.failure()['reason']}"
    if status == "unfinished":
        return "not finished"
    metrics = results[run.variant, run.seed]
    if metric.name not in metrics:
        return f"the result has no {metric.name}, only {', '.join(sorted(metrics))}"
    return None


def _seconds(asked: Asked, results: Results) -> dict[str, float]:
    return {
        variant.name: sum(seconds)
        for variant in asked.variants
        if (
            seconds := [
                m["train_seconds"] for (n, _), m in results.items() if n == variant.name and "train_seconds" in m
            ]
        )
    }
