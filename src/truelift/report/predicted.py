"""Metrics of kept predictions (`truelift.records.predicted`) as what decides a study, with nothing run again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from truelift.errors import InputError, real, unknown_name
from truelift.metrics import Limit, Metric, Scale
from truelift.records import Run, Study
from truelift.records.predicted import METRICS, PREFIX, RECALL, Measure, class_names, measure, value_or_why
from truelift.report.asked import Asked
from truelift.report.judged import Found


def measured(asked: Asked, found: Found, runs: Sequence[Run]) -> tuple[Asked, Found]:
    """The study's metric and guards out of the predictions of those runs that wrote none, where they can be had.

    Args:
        asked: What the study is judged by; of a metric that is measured here the scale is known.
        found: What the runs left.
        runs: Those that are done.
    """
    metrics = {one.name: one for one in (asked.metric, *(guard.metric for guard in asked.guards))}
    measures = {name: one for name in metrics if (one := measure(name, runs)) is not None}
    if not measures:
        return asked, found
    lacking = {name: [key for key, logged in found.results.items() if name not in logged] for name in measures}
    # Of what some runs wrote themselves the scale must be known, or the two could not be told apart.
    alone = {name for name, keys in lacking.items() if len(keys) == len(found.results)}
    known = [name for name in measures if name in alone or metrics[name].scale or not metrics[name].in_points]
    results = {key: dict(logged) for key, logged in found.results.items()}
    for name in known:
        share = 0.01 if metrics[name].scale == "fraction" and name not in alone else 1.0
        for key in lacking[name]:
            predictions = found.predictions.get(key)
            if predictions is not None and isinstance(value := value_or_why(measures[name], predictions), float):
                results[key][name] = value * share  # where not, the report says that the result lacks it

    def scaled(metric: Metric) -> Metric:
        return replace(metric, scale="points") if metric.name in alone and metric.in_points else metric

    guards = tuple(Limit(scaled(guard.metric), guard.most) for guard in asked.guards)
    return replace(asked, metric=scaled(asked.metric), guards=guards), replace(found, results=results)


def find_metric(given: str, study: Study) -> str:
    """The whole name of a metric that a user asks for after the fact: one that runs wrote, or one of predictions.

    `balanced_accuracy` stands for `test_balanced_accuracy`, `cat_recall` for `test_cat_recall`.

    Raises:
        InputError: There is none; or no run's predictions give it, and the message says why.
    """
    done = [run for run in study.runs if run.status == "done"]
    if not done:
        raise InputError(f"metric {given} needs finished runs, and there is none.")
    logged = dict.fromkeys(name for run in done for name in run.result()["metrics"])
    for name in (given, f"{PREFIX}{given}"):
        if name in logged:
            return name
        one = measure(name, done)
        if one is not None:
            _check_given(one, done)
            return name
    example = (class_names(done) or ("0",))[0]
    judged = [name for name in logged if Metric.shown(name).judged]
    raise unknown_name("metric", given, [*METRICS, f"{PREFIX}{example}{RECALL}", *judged])


def judged_by(study: Study, given: str, smallest_effect: float | None) -> Study:
    """The study as if it had been planned with another metric: nothing is run again, and the report says so.

    Its smallest effect stays where both metrics are in points, and is 0 otherwise, unless it is given. Guards stay, and
    published figures, which are of the planned metric, do not.

    Args:
        study: With finished runs.
        given: As for `find_metric`.
        smallest_effect: In units of the metric's differences, at least 0; None: as above.

    Raises:
        InputError: There is no such metric, or its name does not say which way is better; or the study's plan has
            levels that hold for its own metric alone.
    """
    name, plan = find_metric(given, study), study.plan
    if name == plan["metric"]:
        raise InputError(f"metric {name} is what the study is judged by: leave --metric out.")
    if plan.get("until_decided"):
        raise InputError(
            f"metric {name} cannot judge a study until decided: its seeds stopped by {plan['metric']}, "
            "and levels that hold at any stop hold for that metric alone."
        )
    if plan.get("referee"):
        raise InputError(f"metric {name} cannot judge a study of a ledger, whose levels are for {plan['metric']}.")
    if not Metric.shown(name).judged:
        raise InputError(f"metric {name} cannot judge: its name does not say which way is better.")
    own = measure(name, [run for run in study.runs if run.status == "done"])
    metric = Metric.named(name)
    both_in_points = metric.in_points and plan["unit"] == "points"
    effect = (plan["smallest_effect"] if both_in_points else 0.0) if smallest_effect is None else smallest_effect
    real("smallest_effect", effect, lambda size: 0 <= size < float("inf"), "at least 0")
    guards = plan.get("guards") or {}
    return replace(
        study,
        plan={
            **plan,
            "metric": name,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "relative": metric.relative,
            "metric_scale": "points" if own is not None and metric.in_points else _scale(plan, name),
            "smallest_effect": effect,
            "guards": {guard: what for guard, what in guards.items() if guard != name},
            "published": {},
            "planned_metric": plan["metric"],
        },
    )


def _scale(plan: Mapping[str, Any], name: str) -> Scale | None:
    """Of another metric than the planned one. What `truelift.compare` was told is of its own metric alone."""
    of_function = "function" in plan["shared"]
    found: Scale | None = plan.get("scales", {}).get(name) if of_function else plan.get("metric_scale")
    return found


def _check_given(one: Measure, done: Sequence[Run]) -> None:
    """Refuse a metric that not a single run's predictions give."""
    why = ""
    for run in done:
        predictions = run.predictions()
        if predictions is None:
            why = why or f"{run.folder.name} has no predictions.npz that can be read"
            continue
        value = value_or_why(one, predictions)
        if isinstance(value, float):
            return
        why = value
    raise InputError(f"metric {one.name} cannot be had from the predictions: {why}.")
