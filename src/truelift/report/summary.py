"""From a study's records to the numbers and sentences that every form of the report shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from truelift.records import Run, Study
from truelift.studies.metric import Metric
from truelift.studies.statistics import Comparison, compare, example_standard_error

# Besides the study's own, as far as all done runs have them, in this order.
_OTHER_METRICS = (
    "test_accuracy",
    "test_error",
    "test_loss",
    "validation_accuracy",
    "train_loss",
    "train_seconds",
    "cpu_seconds",
    "images_per_second",
    "parameters",
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
    metric: Metric
    rows: tuple[Row, ...]
    """The baseline first."""
    others: Mapping[str, tuple[Row, ...]]
    """The other metrics, by name."""
    headlines: Mapping[str, str]
    """The verdict and its reason in plain words, by variant."""
    problems: tuple[str, ...]
    """Failed and missing runs, one line each."""
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


def summarise(study: Study) -> Summary:
    """Compare every variant with the baseline on every metric that is there."""
    plan = study.plan
    metric = Metric.named(plan["metric"], plan["higher_is_better"])
    results = {(run.variant, run.seed): run.result()["metrics"] for run in study.runs if run.status == "done"}
    rows = _rows(study, metric, results, float(plan["smallest_effect"]))
    others = {
        name: _rows(study, Metric.named(name), results, 0.0)
        for name in _OTHER_METRICS
        if name != metric.name and results and all(name in metrics for metrics in results.values())
    }
    return Summary(
        study=study,
        metric=metric,
        rows=rows,
        others=others,
        headlines={row.variant: _headline(row, metric) for row in rows if row.comparison is not None},
        problems=tuple(line for run in study.runs if (line := _problem(run, metric, results))),
        seconds=_seconds(plan["variants"], results),
        environments=_environments(study),
    )


def _rows(
    study: Study, metric: Metric, results: dict[tuple[str, int], dict[str, float]], smallest_effect: float
) -> tuple[Row, ...]:
    plan = study.plan
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
        resolution=_resolution(study, metric),
        unit=metric.unit,
    )
    errors = _example_errors(study) if metric.name in ("test_accuracy", "test_error") else {}
    return tuple(Row(name, tuple(values[name].tolist()), comparisons.get(name), errors.get(name)) for name in names)


def _resolution(study: Study, metric: Metric) -> float:
    """The metric's smallest step: one test image for an accuracy, one for a count of parameters."""
    if metric.name == "parameters":
        return 1.0
    if metric.name in ("test_accuracy", "test_error"):
        sizes = [len(p.labels) for run in study.runs if run.status == "done" and (p := run.predictions())]
        return 100 / min(sizes) if sizes else 0.0
    return 0.0


def _example_errors(study: Study) -> dict[str, float]:
    """Each variant's standard error over test images, where every pair has predictions for the same images."""
    predictions = {
        (run.variant, run.seed): p for run in study.runs if run.status == "done" and (p := run.predictions())
    }
    baseline = study.plan["baseline"]
    errors = {}
    for name in study.plan["variants"]:
        pairs = [
            (predictions[baseline, seed], predictions[name, seed])
            for seed in study.plan["seeds"]
            if (baseline, seed) in predictions and (name, seed) in predictions
        ]
        same = pairs and all(np.array_equal(p.labels, pairs[0][0].labels) for pair in pairs for p in pair)
        if name != baseline and same and len(pairs[0][0].labels) > 1:
            correct = [np.stack([p.predicted == p.labels for p in column]) for column in zip(*pairs, strict=True)]
            errors[name] = example_standard_error(*correct)
    return errors


def _headline(row: Row, metric: Metric) -> str:
    c = row.comparison
    assert c is not None
    if c.verdict == "undecided":
        return f"undecided · {row.variant}: {c.reason}"
    assert c.interval is not None
    low, high = c.interval
    unit = f" {metric.unit}" if metric.unit else ""
    name = metric.name.replace("_", " ")
    return (
        f"{c.verdict} · {row.variant}: {name} {c.difference:+.3g}{unit} "
        f"(95 % interval {low:+.3g} to {high:+.3g}, {c.seeds} seeds)."
    )


def _problem(run: Run, metric: Metric, results: dict[tuple[str, int], dict[str, float]]) -> str | None:
    if run.status == "failed":
        return f"{run.variant}, seed {run.seed}: failed: {run.failure()['reason']}"
    if run.status == "unfinished":
        return f"{run.variant}, seed {run.seed}: not finished"
    if metric.name not in results[run.variant, run.seed]:
        known = ", ".join(sorted(results[run.variant, run.seed]))
        return f"{run.variant}, seed {run.seed}: its result has no {metric.name}, only {known}"
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
