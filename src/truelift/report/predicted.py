"""Metrics of a run's kept predictions, beside those that it wrote down itself. N test images, K classes.

Every function takes `Predictions` and gives a number, so that any metric can decide a study with nothing run again. To
add one: a function here, its line in `METRICS`, and one in `truelift.metrics.PREDICTED`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from truelift.errors import InputError, real, unknown_name
from truelift.metrics import Limit, Metric
from truelift.records import Inputs, Predictions, Run, Study
from truelift.report.asked import Asked
from truelift.report.judged import Found

_BINS = 15
_PREFIX = "test_"
_RECALL = "_recall"


def balanced_accuracy(p: Predictions) -> float:
    """The mean over classes of the share of a class's images that are right, in percent; in [0, 100].

        100/K Σ_c |{i: y_i = c, ŷ_i = c}| / |{i: y_i = c}|,   over the K classes that have test images

    Source:
        Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010.
    """
    return 100 * float(np.mean([np.mean(p.predicted[p.labels == c] == c) for c in np.unique(p.labels)]))


def macro_f1(p: Predictions) -> float:
    """The mean over classes of F1, in percent; in [0, 100].

        100/K Σ_c 2·TP_c / (2·TP_c + FP_c + FN_c),   over the K classes that are a label or predicted

    Source:
        Opitz and Burst, "Macro F1 and Macro F1", 2019, arXiv 1911.03347: this is their averaged F1, scikit-learn's.
    """
    scores = []
    for c in np.union1d(p.labels, p.predicted):
        is_c, said_c = p.labels == c, p.predicted == c
        scores.append(2 * np.sum(is_c & said_c) / (is_c.sum() + said_c.sum()))
    return 100 * float(np.mean(scores))


def top5_accuracy(p: Predictions) -> float:
    """Percent of the images whose label is among the five classes with the largest logits; in [0, 100].

    Raises:
        InputError: There are at most 5 classes, or the predictions have no ranks.
    """
    if len(p.labels) and len(p.rank) == 0:
        raise InputError("the predictions have no ranks (rank in predictions.npz)")
    return 100 * float(np.mean(p.rank < 5))


def calibration_error(p: Predictions) -> float:
    """The expected calibration error in percent: how far confidence is from accuracy; in [0, 100].

        100 Σ_b |B_b|/N · |acc(B_b) − conf(B_b)|,   B_b the images whose confidence is in ((b − 1)/15, b/15]

    with conf the mean probability of the predicted class. It depends on the number of bins, and is biased upwards where
    bins hold few images; between variants on the same images that is the same for all.

    Source:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599, equation 3, 15 bins.

    Raises:
        InputError: The predictions have no confidences.
    """
    if len(p.labels) and len(p.confidence) == 0:
        raise InputError("the predictions have no probabilities of the predicted class (confidence in predictions.npz)")
    right, confidence = p.predicted == p.labels, p.confidence.astype(np.float64)
    bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=_BINS)
    return 100 * float(np.abs(gaps).sum() / len(right))


def log_loss(p: Predictions) -> float:
    """The mean of −log of the true class's probability; at least 0. A probability of 0 counts as the least float32.

    Raises:
        InputError: The predictions have no probabilities.
    """
    if len(p.labels) and len(p.probability) == 0:
        raise InputError("the predictions have no probabilities")
    floored = np.clip(p.probability, np.finfo(np.float32).tiny, 1)
    return float(-np.log(floored, dtype=np.float64).mean())


def recall(p: Predictions, number: int) -> float:
    """Percent of the images of one class that are right; in [0, 100].

    Raises:
        InputError: No test image is of this class.
    """
    mine = p.labels == number
    if not mine.any():
        raise InputError(f"no test image is of class {number}")
    return 100 * float(np.mean(p.predicted[mine] == number))


METRICS: Mapping[str, Callable[[Predictions], float]] = {
    "test_balanced_accuracy": balanced_accuracy,
    "test_macro_f1": macro_f1,
    "test_top5_accuracy": top5_accuracy,
    "test_calibration_error": calibration_error,
    "test_log_loss": log_loss,
}
"""Those that have a name of their own; `test_CLASS_recall` is that of a class."""


@dataclass(frozen=True)
class Measure:
    """A metric of predictions, by name."""

    name: str
    of: Callable[[Predictions], float]


def measure(name: str, runs: Sequence[Run]) -> Measure | None:
    """The metric of that name, where it is one of predictions.

    Args:
        name: As in `METRICS`, or test_CLASS_recall with a class's name or number.
        runs: Those that tell the classes' names.
    """
    if name in METRICS:
        return Measure(name, METRICS[name])
    if not (name.startswith(_PREFIX) and name.endswith(_RECALL)):
        return None
    wanted = name.removeprefix(_PREFIX).removesuffix(_RECALL)
    classes = class_names(runs)
    if wanted in classes:
        number = classes.index(wanted)
    elif wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and not classes:
        number = int(wanted)
    else:
        return None
    return Measure(name, lambda p: recall(p, number))


def class_names(runs: Sequence[Run]) -> tuple[str, ...]:
    """The classes of the first run that tells them (inputs.json); empty where none does, as a user's own programs."""
    for run in runs:
        try:
            return Inputs.read(run.folder).classes
        except InputError:
            continue
    return ()


def measured(asked: Asked, found: Found, runs: Sequence[Run]) -> tuple[Asked, Found]:
    """The study's metric and guards out of its runs' predictions, where the runs wrote none and they can be had.

    Args:
        asked: What the study is judged by; of a metric that is measured here the scale is known.
        found: What the runs left.
        runs: Those that are done.
    """
    logged = {name for metrics in found.results.values() for name in metrics}
    wanted = [asked.metric.name, *(guard.metric.name for guard in asked.guards)]
    ours = [one for name in dict.fromkeys(wanted) if name not in logged and (one := measure(name, runs)) is not None]
    if not ours:
        return asked, found
    names = {one.name for one in ours}

    def scaled(metric: Metric) -> Metric:
        return replace(metric, scale="points") if metric.name in names and metric.in_points else metric

    guards = tuple(Limit(scaled(guard.metric), guard.most) for guard in asked.guards)
    return replace(asked, metric=scaled(asked.metric), guards=guards), _with(found, ours)


def _with(found: Found, wanted: Sequence[Measure]) -> Found:
    results = {key: dict(metrics) for key, metrics in found.results.items()}
    for one in wanted:
        for key, predictions in found.predictions.items():
            if key in results and isinstance(value := value_or_why(one, predictions), float):
                results[key][one.name] = value  # where not, the report says that the result lacks it
    return replace(found, results=results)


def refused(name: str, predictions: Predictions) -> str | None:
    """Why a metric says nothing of these predictions; None where it does."""
    if predictions.several:
        return "its images may have several labels each"
    if len(predictions.labels) == 0:
        return "there are no test images"
    classes = 1 + int(max(predictions.labels.max(), predictions.predicted.max(), predictions.rank.max(initial=0)))
    if name == "test_top5_accuracy" and classes <= 5:
        return f"top-5 needs more than 5 classes, got {classes}"
    return None


def value_or_why(one: Measure, predictions: Predictions) -> float | str:
    """A metric of predictions, or why they have none."""
    why = refused(one.name, predictions)
    if why is not None:
        return why
    try:
        return float(one.of(predictions))
    except InputError as error:
        return str(error)


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
    for name in (given, f"{_PREFIX}{given}"):
        if name in logged:
            return name
        one = measure(name, done)
        if one is not None:
            _check_given(one, done)
            return name
    example = (class_names(done) or ("0",))[0]
    raise unknown_name("metric", given, [*METRICS, f"{_PREFIX}{example}{_RECALL}", *logged])


def judged_by(study: Study, given: str, smallest_effect: float | None) -> Study:
    """The study as if it had been planned with another metric: nothing is run again, and the report says so.

    Its smallest effect stays where both metrics are in points, and is 0 otherwise, unless it is given. Guards stay, and
    published figures, which are of the planned metric, do not.

    Args:
        study: With finished runs.
        given: As for `find_metric`.
        smallest_effect: In units of the metric's differences, at least 0; None: as above.

    Raises:
        InputError: There is no such metric; or the study's plan has levels that hold for its own metric alone.
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
            "metric_scale": "points" if own is not None and metric.in_points else plan.get("metric_scale"),
            "smallest_effect": effect,
            "guards": {guard: what for guard, what in guards.items() if guard != name},
            "published": {},
            "planned_metric": plan["metric"],
        },
    )


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
