"""A metric that no run will have is told before anything is trained."""

from dataclasses import replace

import pytest
import torch

from truelift.data import DataOptions, ImageSet, Splits
from truelift.errors import InputError
from truelift.studies.measured import refuse_unmeasured
from truelift.training import Experiment
from truelift.training.afterwards import DetectionOptions, MetricsOptions, ProbeOptions
from truelift.training.afterwards.base import require_every_class

IMAGES = ImageSet(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 0, 1, 1, 3, 3]))
SPLITS = Splits(IMAGES, None, IMAGES, ("a", "b", "c", "d"), 0)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("fgsm_auroc", 'variant "v" has no images to be moved (detection.fgsm_epsilon)'),
        ("outlier_confidence_auroc", 'variant "v" has no outliers (detection.outliers)'),
        ("validation_accuracy", 'variant "v" has no validation images'),
        ("head_test_error", 'variant "v" has no probe beside its head (probe.name)'),
        ("test_mean_average_precision", 'variant "v" has one label per image'),
        ("compile_seconds", 'variant "v" may not be compiled (compile = true)'),
        ("test_c_recall", 'variant "v" has no test image of that class'),
        ("test_acuracy", 'variant "v" does not log it, but "test_accuracy"'),
    ],
)
def test_what_nobody_logs_is_refused(name: str, without: str) -> None:
    refuse_unmeasured(("test_accuracy", "train_seconds", "parameters"), "v", Experiment(), SPLITS)
    with pytest.raises(InputError) as told:
        refuse_unmeasured(("test_accuracy", name), "v", Experiment(), SPLITS)
    assert str(told.value) == f'metric "{name}" must be one that every run logs; {without}.'


def test_what_somebody_logs_is_not() -> None:
    everything = replace(
        Experiment(),
        probe=ProbeOptions(name="linear-svm"),
        detection=DetectionOptions(outliers="somewhere", fgsm_epsilon=1.0),
    )
    names = ("fgsm_auroc", "outlier_auroc", "validation_error", "head_test_accuracy", "test_error")
    refuse_unmeasured(names, "v", everything, replace(SPLITS, validation=IMAGES))
    with pytest.raises(InputError, match="has a probe, which gives no probabilities"):
        refuse_unmeasured(("test_loss",), "v", everything, SPLITS)
    own = replace(Experiment(), metrics=MetricsOptions(names=("mine.py:recalls",)))
    refuse_unmeasured(("test_recall_of_cats",), "v", own, SPLITS)


def test_what_is_logged_depends_on_the_training() -> None:
    refuse_unmeasured(("compile_seconds",), "v", replace(Experiment(), compile=True), SPLITS)
    refuse_unmeasured(("training_operations", "test_d_recall"), "v", Experiment(), SPLITS)
    growing = replace(Experiment(), data=DataOptions(progressive=(4,)))
    with pytest.raises(InputError, match=r"images that grow \(data\.progressive\), whose operations are not counted"):
        refuse_unmeasured(("training_operations",), "v", growing, SPLITS)


def test_images_that_may_have_several_labels() -> None:
    images = ImageSet(IMAGES.images, torch.zeros(6, 4, dtype=torch.uint8))
    several = Splits(images, images, images, ("a", "b", "c", "d"), 0)
    names = ("test_mean_average_precision", "validation_mean_average_precision", "test_accuracy", "test_loss")
    refuse_unmeasured(names, "v", Experiment(), several)
    for name in ("test_balanced_accuracy", "test_macro_f1", "test_a_recall"):
        with pytest.raises(InputError, match='variant "v" has images that may have several labels'):
            refuse_unmeasured((name,), "v", Experiment(), several)


def test_a_class_without_training_images() -> None:
    with pytest.raises(InputError, match=r"^detection needs training images of every class, got none of 1 of 4: c\.$"):
        require_every_class(SPLITS, "detection")
    without = ImageSet(IMAGES.images[:4], IMAGES.labels[:4])
    require_every_class(Splits(without, None, without, ("a", "b"), 0), "detection")
