"""Metrics of a run's kept predictions, beside those that it wrote down itself. N test images, K classes.

Every function takes `Predictions` and gives a number, so that any metric can decide a study with nothing run again. To
add one: a function here, its line in `METRICS`, and one in `truelift.metrics.PREDICTED`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from truelift.errors import InputError
from truelift.records.inputs import Inputs
from truelift.records.predictions import Predictions
from truelift.records.run import Run

_BINS = 15
PREFIX, RECALL = "test_", "_recall"
"""What a class's name stands between in the name of its recall."""


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
    number = class_of(name, runs)
    return None if number is None else Measure(name, lambda p: recall(p, number))


def class_of(name: str, runs: Sequence[Run]) -> int | None:
    """The number of the class whose recall a metric is, as `measure` finds it; None for any other metric."""
    if not (name.startswith(PREFIX) and name.endswith(RECALL)):
        return None
    wanted = name.removeprefix(PREFIX).removesuffix(RECALL)
    classes = class_names(runs)
    if wanted in classes:
        return classes.index(wanted)
    return int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and not classes else None


def class_names(runs: Sequence[Run]) -> tuple[str, ...]:
    """The classes of the first run that tells them (inputs.json); empty where none does, as a user's own programs."""
    for run in runs:
        try:
            return Inputs.read(run.folder).classes
        except InputError:
            continue
    return ()


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


def metric_of(run: Run, name: str) -> float | None:
    """A metric of a run that is done: what it wrote down, or what its predictions give; None where neither has it."""
    written: Mapping[str, float] = run.result()["metrics"]
    if name in written:
        return written[name]
    one = measure(name, [run])
    predictions = None if one is None else run.predictions()
    if one is None or predictions is None:
        return None
    value = value_or_why(one, predictions)
    return value if isinstance(value, float) else None
