"""From a study's records to the numbers and sentences that every form of the report shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from truelift.records import Predictions, Run, Study
from truelift.report.numbers import digits, number
from truelift.studies.metric import Metric
from truelift.verdicts import Comparison, compare, example_standard_error, places_that_show

# Besides the study's own, as far as all done runs have them, in this order.
_OTHER_METRICS = (
    "test_accuracy",
    "test_error",
    "test_loss",
    "validation_accuracy",
    "head_test_accuracy",
    "head_test_error",
    *(f"{kind}_{score}auroc" for kind in ("outlier", "fgsm") for score in ("", "confidence_", "mahalanobis_")),
    "fgsm_accuracy",
    "train_loss",
    "train_error",
    "train_seconds",
    "cpu_seconds",
    "images_per_second",
    "parameters",
    "training_operations",
)


@dataclass(frozen=True)
class Row:
    """One variant on one metric."""

    variant: str
    values: tuple[float, ...]
    """One a seed, in the study's order; NaN where the run is not done."""
    comparison: Comparison | None
    """Against the baseline; None for the baseline itself."""
    example_error: float | None
    """Standard error of the difference over the test images, in points; None without comparable predictions."""

    @property
    def done(self) -> tuple[float, ...]:
        """The values that are there."""
        return tuple(value for value in self.values if not math.isnan(value))

    @property
    def mean(self) -> float:
        """Mean over the done seeds; NaN without one."""
        return float(np.mean(self.done)) if self.done else math.nan

    @property
    def sd(self) -> float:
        """Sample standard deviation over the done seeds; NaN below two."""
        return float(np.std(self.done, ddof=1)) if len(self.done) > 1 else math.nan


@dataclass(frozen=True)
class Summary:
    """All that the report says."""

    study: Study
    results: Mapping[tuple[str, int], Mapping[str, float]]
    """The metrics of each done run, by variant and seed."""
    metric: Metric
    rows: tuple[Row, ...]
    """The baseline first."""
    others: Mapping[str, tuple[Row, ...]]
    """The other metrics, by name."""
    headlines: Mapping[str, str]
    """The verdict and its reason in plain words, by variant."""
    problems: tuple[str, ...]
    """Failed and missing runs, one line for each variant and reason."""
    seconds: Mapping[str, float]
    """Seconds of training, by variant, over all done runs; empty where a program does not say."""
    environments: tuple[dict[str, Any], ...]
    """The different environments that runs ran in, each with `runs`, how many."""

    @property
    def question(self) -> str:
        """What the study asks."""
        return str(self.study.plan["question"])

    @property
    def seeds(self) -> list[int]:
        """The seeds of the plan."""
        return list(self.study.plan["seeds"])

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows with a verdict."""
        return tuple(row for row in self.rows if row.comparison is not None)


def mean_digits(rows: Sequence[Row]) -> int:
    """Digits after the point for the means of one metric."""
    return digits([row.sd for row in rows], [value for row in rows for value in row.done])


def difference_digits(rows: Sequence[Row]) -> int:
    """Digits after the point for the differences of one metric, which may be in percent."""
    compared = [row.comparison for row in rows if row.comparison is not None]
    half_widths = [(c.interval[1] - c.interval[0]) / 2 for c in compared if c.interval]
    wanted = digits(half_widths, [c.difference for c in compared])
    return places_that_show((end for c in compared for end in c.interval or ()), wanted)


def summarise(study: Study) -> Summary:
    """Compare every variant with the baseline on every metric that is there.

    Raises:
        InputError: The study's metric is relative and its baseline's mean is not above 0.
    """
    plan = study.plan
    metric = Metric(plan["metric"], plan["unit"], plan["higher_is_better"], plan["relative"])
    done = [run for run in study.runs if run.status == "done"]
    results = {(run.variant, run.seed): run.result()["metrics"] for run in done}
    predictions = {(run.variant, run.seed): found for run in done if (found := run.predictions())}
    smallest_effect = float(plan["smallest_effect"])

    rows = _rows(plan, metric, results, predictions, smallest_effect)
    others = {}
    for name in _OTHER_METRICS:
        if name != metric.name and _comparable(name, plan["baseline"], results):
            other = Metric.named(name)
            # What is too small to matter in test accuracy is so in test error: else the two would contradict.
            same_scale = other.unit == metric.unit == "points"
            others[name] = _rows(plan, other, results, predictions, smallest_effect if same_scale else 0.0)
    return Summary(
        study=study,
        results=results,
        metric=metric,
        rows=rows,
        others=others,
        headlines={row.variant: _headline(row, metric, difference_digits(rows)) for row in rows if row.comparison},
        problems=_problems(study.runs, metric, results),
        seconds=_seconds(plan["variants"], results),
        environments=_environments(study),
    )


def _comparable(name: str, baseline: str, results: dict[tuple[str, int], dict[str, float]]) -> bool:
    """Whether all done runs have the metric and, for a relative one, the baseline something to be held against."""
    if not results or not all(name in metrics for metrics in results.values()):
        return False
    of_baseline = [metrics[name] for (variant, _), metrics in results.items() if variant == baseline]
    return not Metric.named(name).relative or all(value > 0 for value in of_baseline)


def _rows(
    plan: dict[str, Any],
    metric: Metric,
    results: dict[tuple[str, int], dict[str, float]],
    predictions: dict[tuple[str, int], Predictions],
    smallest_effect: float,
) -> tuple[Row, ...]:
    baseline = plan["baseline"]
    names = [baseline, *(name for name in plan["variants"] if name != baseline)]
    values = {
        name: np.array([results.get((name, seed), {}).get(metric.name, math.nan) for seed in plan["seeds"]])
        for name in names
    }
    comparisons = compare(
        values[baseline],
        {name: values[name] for name in names[1:]},
        higher_is_better=metric.higher_is_better,
        smallest_effect=smallest_effect,
        relative=metric.relative,
        resolution=_resolution(metric, predictions),
        unit=metric.unit,
    )
    # In points, so of no use beside a difference in percent.
    in_points = metric.name in ("test_accuracy", "test_error") and not metric.relative
    errors = _example_errors(plan, predictions) if in_points else {}
    return tuple(Row(name, tuple(values[name].tolist()), comparisons.get(name), errors.get(name)) for name in names)


def _resolution(metric: Metric, predictions: dict[tuple[str, int], Predictions]) -> float:
    """The metric's smallest step: one test image for an accuracy, one for a count of parameters or operations."""
    if metric.name in ("parameters", "training_operations"):
        return 1.0
    if metric.name in ("test_accuracy", "test_error") and predictions:
        return 100 / min(len(p.labels) for p in predictions.values())
    return 0.0


def _example_errors(plan: dict[str, Any], predictions: dict[tuple[str, int], Predictions]) -> dict[str, float]:
    """Each variant's standard error over test images, where every pair has predictions for the same images."""
    baseline = plan["baseline"]
    errors = {}
    for name in plan["variants"]:
        pairs = [
            (predictions[baseline, seed], predictions[name, seed])
            for seed in plan["seeds"]
            if (baseline, seed) in predictions and (name, seed) in predictions
        ]
        same = pairs and all(np.array_equal(p.labels, pairs[0][0].labels) for pair in pairs for p in pair)
        if name != baseline and same and len(pairs[0][0].labels) > 1:
            correct = [np.stack([p.predicted == p.labels for p in column]) for column in zip(*pairs, strict=True)]
            errors[name] = example_standard_error(*correct)
    return errors


def _headline(row: Row, metric: Metric, digits: int) -> str:
    c = row.comparison
    assert c is not None
    # Without an interval, as where all seeds differ by exactly the same, the reason says what decided.
    if c.verdict == "undecided" or c.interval is None:
        return f"{c.verdict} · {row.variant}: {c.reason}"
    difference, low, high = (number(value, digits=digits, sign=True) for value in (c.difference, *c.interval))
    unit = f" {metric.unit}" if metric.unit else ""
    name = metric.name.replace("_", " ")
    return f"{c.verdict} · {row.variant}: {name} {difference}{unit} (95 % interval {low} to {high}, {c.seeds} seeds)."


def _problems(runs: Sequence[Run], metric: Metric, results: dict[tuple[str, int], dict[str, float]]) -> tuple[str, ...]:
    seeds: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        problem = _problem(run, metric, results)
        if problem is not None:
            seeds.setdefault((run.variant, problem), []).append(str(run.seed))
    return tuple(
        f"{variant}, {'seed' if len(which) == 1 else 'seeds'} {', '.join(which)}: {problem}"
        for (variant, problem), which in seeds.items()
    )


def _problem(run: Run, metric: Metric, results: dict[tuple[str, int], dict[str, float]]) -> str | None:
    if run.status == "failed":
        return f"failed: {run.failure()['reason']}"
    if run.status == "unfinished":
        return "not finished"
    metrics = results[run.variant, run.seed]
    if metric.name not in metrics:
        return f"the result has no {metric.name}, only {', '.join(sorted(metrics))}"
    return None


def _seconds(variants: Mapping[str, Any], results: dict[tuple[str, int], dict[str, float]]) -> dict[str, float]:
    return {
        name: sum(seconds)
        for name in variants
        if (seconds := [m["train_seconds"] for (n, _), m in results.items() if n == name and "train_seconds" in m])
    }


def _environments(study: Study) -> tuple[dict[str, Any], ...]:
    """The different environments, commands and times left out."""
    different: list[dict[str, Any]] = []
    for run in study.runs:
        environment = {k: v for k, v in run.environment().items() if k not in ("command", "started")}
        if not environment:
            continue
        for known in different:
            if {k: v for k, v in known.items() if k != "runs"} == environment:
                known["runs"] += 1
                break
        else:
            different.append({**environment, "runs": 1})
    return tuple(different)
