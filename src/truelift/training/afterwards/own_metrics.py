"""A user's own metrics, by import path, from a run's predictions.

A function of what it names of `labels` (N,), `predicted` (N,), `probability` (N,) of the true class, `predictions` (all
three, `truelift.records.Predictions`), `classes` (their names) and `split`; it gives a number, or numbers by name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from truelift.data import Images, Splits
from truelift.errors import InputError
from truelift.metrics import LOGGED
from truelift.options import In, OneOf, Registry
from truelift.own import call, is_import_path
from truelift.records import Predictions
from truelift.training.afterwards.base import Afterwards, End

METRICS: Registry[Any] = Registry("metric", {})

_A_RUNS_OWN = frozenset(logged.name.removeprefix("test_") for logged in LOGGED if logged.name.startswith("test_"))


@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """After training: metrics of your own."""

    names: Annotated[
        tuple[str, ...], OneOf(METRICS), In("import paths, package.module:name or file.py:name", is_import_path)
    ] = ()
    """Functions of your own, package.module:name or file.py:name, of a run's predictions on validation and test images.
    The value of one called NAME is the run's test_NAME; a study may judge by it."""

    args: dict[str, Any] = field(default_factory=dict)
    """Arguments of your own metrics: --metrics.args.NAME VALUE; each takes those that it names."""


def build(options: MetricsOptions, splits: Splits) -> Afterwards:
    """What adds the metrics that `options` name. Each is tried here, on made-up predictions of the images' labels.

    Raises:
        InputError: One raises, has arguments that it does not take, or gives something else than numbers; or a number
            has the name of another's, or of the run's own.
    """
    functions = {path: METRICS.find(path) for path in options.names}
    for split, images in (("validation", splits.validation), ("test", splits.test)):
        if functions and images is not None:
            # Some need not be finite: these are not the network's predictions.
            _all_numbers(functions, options.args, _made_up(images), split, splits.classes)

    def own_metrics(end: End) -> End:
        found: dict[str, float] = {}
        for split, predictions in end.predictions.items():
            found |= _measured(functions, options.args, predictions, split, end.splits.classes)
        return replace(end, metrics=end.metrics | found)

    return own_metrics


def _made_up(images: Images) -> Predictions:
    """Predictions of which two of three are right."""
    labels = images.labels.cpu().numpy()
    wrong = np.arange(len(labels)) % 3 == 2
    return Predictions(labels, np.where(wrong, np.roll(labels, 1), labels), np.full(len(labels), 0.5, np.float32))


def _measured(
    functions: Mapping[str, Any],
    args: Mapping[str, Any],
    predictions: Predictions,
    split: str,
    classes: tuple[str, ...],
) -> dict[str, float]:
    found = {}
    for key, (path, value) in _all_numbers(functions, args, predictions, split, classes).items():
        if not math.isfinite(value):
            raise InputError(f'metric "{path}" must give finite numbers, got {key}: {value}.')
        found[f"{split}_{key}"] = value
    return found


def _all_numbers(
    functions: Mapping[str, Any],
    args: Mapping[str, Any],
    predictions: Predictions,
    split: str,
    classes: tuple[str, ...],
) -> dict[str, tuple[str, float]]:
    """What all functions give of a split: by its name the function's path, and the number.

    Raises:
        InputError: Two give a number of the same name, or one that a run has itself: one of them would be lost.
    """
    found: dict[str, tuple[str, float]] = {}
    for path, function in functions.items():
        for key, value in _numbers(path, _given(path, function, args, predictions, split, classes)).items():
            if key in _A_RUNS_OWN:
                raise InputError(f'metric "{path}" must not give "{key}": a run has its own of that name.')
            if key in found:
                raise InputError(f'metric "{path}" must not give "{key}": "{found[key][0]}" gives one of that name.')
            found[key] = path, value
    return found


def _given(
    path: str, function: Any, args: Mapping[str, Any], predictions: Predictions, split: str, classes: tuple[str, ...]
) -> Mapping[str, Any]:
    """What the function gives, by name."""
    arrays = {name: getattr(predictions, name) for name in ("labels", "predicted", "probability")}
    given = call("metric", path, function, args, **arrays, predictions=predictions, classes=classes, split=split)
    return dict(given) if isinstance(given, Mapping) else {path.rpartition(":")[2].rpartition(".")[2]: given}


def _numbers(path: str, given: Mapping[str, Any]) -> dict[str, float]:
    values = {}
    for key, value in given.items():
        try:
            values[key] = float(value)
        except (TypeError, ValueError):
            raise InputError(f'metric "{path}" must give numbers, got {key}: {type(value).__name__}.') from None
    return values
