"""Images that may have several labels: what can be done with them."""

from truelift.data import Splits
from truelift.errors import require
from truelift.own import is_import_path
from truelift.training.experiment import Experiment

OBJECTIVE = "binary-cross-entropy"

_MIXING = ("mixup", "cutmix")


def check_labels(experiment: Experiment, splits: Splits) -> None:
    """Refuse what takes one label an image, where there may be several.

    Raises:
        InputError: It is wanted.
    """
    if splits.train.labels.ndim == 1:
        return
    why = "for images with several labels"
    objective, tasks = experiment.objective, experiment.tasks
    fits = is_import_path(objective.name) or objective.name == OBJECTIVE
    require("objective.name", objective.name, fits, f"{OBJECTIVE} {why}")
    require("objective.feature_size", objective.feature_size, objective.feature_size != 2, f"other than 2 {why}")
    require("data.sampling", experiment.data.sampling, experiment.data.sampling == "shuffle", f"shuffle {why}")
    mixing = [name for name in experiment.augmentation.names if name in _MIXING]
    require("augmentation.names", ", ".join(mixing), not mixing, f"others than {', '.join(_MIXING)} {why}")
    require("probe.name", experiment.probe.name, experiment.probe.name == "none", f"none {why}")
    detects = experiment.detection.outliers or experiment.detection.fgsm_epsilon
    require("detection", detects, not detects, f"left out {why}")
    require("metrics.names", ", ".join(experiment.metrics.names), not experiment.metrics.names, f"left out {why}")
    require("tasks.main", ", ".join(tasks.main), not tasks.main, f"left out {why}")
    require("tasks.auxiliary", ", ".join(tasks.auxiliary), not experiment.has_auxiliary_task, f"left out {why}")
