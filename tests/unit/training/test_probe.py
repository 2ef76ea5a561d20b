"""The linear SVM in the head's place, on digits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from truelift.data import ImageSet
from truelift.errors import InputError
from truelift.records import Run
from truelift.training import Experiment, resolve, run
from truelift.training.afterwards import probe
from truelift.training.build import assemble, load_data
from truelift.training.settings import parse_experiment


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 320, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", **settings}, "test"))


def metrics(folder: Path, **settings: Any) -> dict[str, float]:
    return dict(run(small(**settings), folder, reporter=lambda line, steps: None)["metrics"])


@pytest.mark.parametrize(
    "settings",
    [{}, {"objective.name": "gaussian-mixture", "objective.feature_size": 2}, {"tasks.auxiliary_rotation": 90.0}],
    ids=["softmax", "mixture", "two tasks"],
)
def test_the_training_is_that_without_the_probe(tmp_path: Path, settings: dict[str, Any]) -> None:
    plain = metrics(tmp_path / "plain", **settings)
    probed = metrics(tmp_path / "probed", **settings, probe="linear-svm")
    assert probed["train_loss"] == plain["train_loss"]
    for split in ("validation", "test"):
        assert probed[f"head_{split}_error"] == plain[f"{split}_error"]
        assert probed[f"head_{split}_accuracy"] == plain[f"{split}_accuracy"]
        assert f"{split}_loss" not in probed
        assert f"{split}_loss" in plain
    assert probed["svm_converged"] == 1
    assert probed["test_accuracy"] > 40  # chance is 10; the features of even this short training give 71 to 82
    assert not any(name.startswith(("svm", "head")) for name in plain)


def test_it_is_scikit_learns_svm_on_standardised_features(tmp_path: Path) -> None:
    experiment = small(**{"probe.name": "linear-svm", "probe.c": 0.01, "augmentation.cutout": 4})
    result = run(experiment, tmp_path, reporter=lambda line, steps: None)["metrics"]
    training = assemble(experiment, splits := load_data(experiment))
    training.load(tmp_path / "checkpoint.pt")
    network = training.network.eval()

    def features(images: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            pixels = (images / 255 - splits.mean[0]) / splits.std[0]
            return network.features(pixels).double().numpy()

    assert isinstance(splits.train, ImageSet)
    assert isinstance(splits.test, ImageSet)
    train, test = features(splits.train.images), features(splits.test.images)
    mean, sd = train.mean(0), train.std(0)
    svm = LinearSVC(C=0.01, dual=False).fit((train - mean) / sd, splits.train.labels.numpy())
    right = svm.predict((test - mean) / sd) == splits.test.labels.numpy()
    assert result["test_accuracy"] == pytest.approx(100 * right.mean(), abs=0.6)  # an image or two on the border
    recorded = Run("v", 0, tmp_path).predictions()
    assert recorded is not None
    assert recorded.probability.shape == (0,)
    assert result["test_accuracy"] == 100 * np.mean(recorded.predicted == recorded.labels)


def test_fewer_images_are_chosen_by_the_seed(tmp_path: Path) -> None:
    some = {"probe.name": "linear-svm", "probe.images": 20}
    first, again = metrics(tmp_path / "a", **some), metrics(tmp_path / "b", **some)
    assert first["test_error"] == again["test_error"]
    assert first["test_error"] > metrics(tmp_path / "all", probe="linear-svm")["test_error"]


def test_a_fit_that_did_not_converge_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_MOST_ITERATIONS", 1)
    with pytest.warns(ConvergenceWarning):
        assert metrics(tmp_path, probe="linear-svm")["svm_converged"] == 0


def test_images_of_every_class_are_needed() -> None:
    experiment = small(**{"probe.name": "linear-svm", "probe.images": 9})
    with pytest.raises(InputError, match=r"probe.images must be at least 10, one a class, got 9"):
        probe.build(experiment.probe, load_data(experiment))
