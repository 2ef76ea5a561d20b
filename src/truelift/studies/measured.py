"""Whether every run of a study will have the metrics that it is judged by: known before anything is trained."""

import difflib
from collections.abc import Iterator

from truelift.data import Splits
from truelift.errors import InputError
from truelift.metrics import LOGGED, PREDICTED
from truelift.training import Experiment

# Of what the predictions give.
_OF_PROBABILITIES = ("test_top5_accuracy", "test_calibration_error", "test_log_loss")

# Of images that may have several labels.
_OF_SEVERAL = "mean_average_precision"


def refuse_unmeasured(names: tuple[str, ...], variant: str, experiment: Experiment, splits: Splits) -> None:
    """Refuse a metric that a variant's trainings do not log.

    Args:
        names: The metric, and those of the guards.
        variant: Its name.
        experiment: One of its trainings.
        splits: Its images.

    Raises:
        InputError: One is not logged; the message says what would log it.
    """
    for name in names:
        for holds, rule in _rules(name, experiment, splits):
            if not holds:
                raise InputError(f'metric "{name}" must be one that every run logs; variant "{variant}" {rule}.')


def _rules(name: str, experiment: Experiment, splits: Splits) -> Iterator[tuple[bool, str]]:
    if experiment.metrics.names and name.startswith(("test_", "validation_")):
        return  # a user's own function may give any number
    probed, detection = experiment.probe.name != "none", experiment.detection
    several = splits.train.labels.ndim > 1
    recalls = [f"test_{one}_recall" for one in splits.classes]
    predicted = {*recalls, *(one.name for one in PREDICTED)}
    yield splits.validation is not None or not name.startswith("validation_"), "has no validation images"
    yield probed or not name.startswith("head_"), "has no probe beside its head (probe.name)"
    yield not (probed and name in ("test_loss", "validation_loss")), "has a probe, which gives no probabilities"
    yield detection.outliers is not None or not name.startswith("outlier_"), "has no outliers (detection.outliers)"
    yield (
        detection.fgsm_epsilon is not None or not name.startswith("fgsm_"),
        "has no images to be moved (detection.fgsm_epsilon)",
    )
    yield not (probed and name in _OF_PROBABILITIES), "has a probe, which gives no probabilities"
    yield len(splits.classes) > 5 or name != "test_top5_accuracy", f"has {len(splits.classes)} classes, top-5 needs 6"
    yield several or not name.endswith(_OF_SEVERAL), "has one label per image"
    yield not (several and name in predicted), "has images that may have several labels"
    yield (
        name not in recalls or bool((splits.test.labels == recalls.index(name)).any()),
        "has no test image of that class",
    )
    yield experiment.compile is True or name != "compile_seconds", "may not be compiled (compile = true)"
    yield (
        not (experiment.has_auxiliary_task or experiment.data.progressive) or name != "training_operations",
        "has an auxiliary task or images that grow (data.progressive), whose operations are not counted",
    )
    known = {logged.name for logged in LOGGED} | predicted
    known |= {
        f"{head}{split}_{kind}"
        for head in ("", "head_")
        for split in ("test", "validation")
        for kind in ("accuracy", "error", "loss", _OF_SEVERAL)
    }
    nearest = difflib.get_close_matches(name, known, n=1)
    yield name in known, f'does not log it, but "{nearest[0]}"' if nearest else "does not log it"
