"""Images with several labels: the loss, mean average precision, and trainings that learn them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score

from truelift.data import ImageSet
from truelift.errors import InputError
from truelift.records import Inputs, LabelSetPredictions, Predictions
from truelift.records.predicted import refused
from truelift.training import Experiment, resolve, run
from truelift.training.average_precision import average_precision, mean_average_precision
from truelift.training.build import assemble, load_data
from truelift.training.evaluation import scores
from truelift.training.export.described import description
from truelift.training.objectives.binary_cross_entropy import BinaryCrossEntropy, label_set_error_percent
from truelift.training.settings import parse_experiment
from truelift.training.trained import restore

SEVERAL = """
import numpy as np
def make(n=240, one=False):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 2, (n, 3))
    images = rng.integers(0, 40, (n, 8, 8), np.uint8)
    for k in range(3):  # a bright row for each label
        images[table[:, k] == 1, 2 * k + 1] += 200
    labels = table[:, 0] if one else table
    return {"train": (images[:-60], labels[:-60]), "test": (images[-60:], labels[-60:])}
"""

BCE = {"objective.name": "binary-cross-entropy"}


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def experiment(tmp_path: Path, **settings: Any) -> Experiment:
    (tmp_path / "several.py").write_text(SEVERAL)
    base = {"data.name": f"{tmp_path / 'several.py'}:make", "model.name": "resnet8", "model.width": 4, "epochs": 6}
    base |= {"batch_size": 20, "precision": "fp32", "augmentation.crop_padding": 0, "augmentation.flip": False}
    return resolve(parse_experiment({**base, **BCE, **settings}, "test"))


class Linear(torch.nn.Module):
    """Gives its images as logits."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def test_the_loss_by_hand() -> None:
    z = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], dtype=torch.float64)
    y = torch.tensor([[1, 0, 0], [1, 1, 0]], dtype=torch.uint8)
    p = 1 / (1 + (-z).exp())
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).sum() / 6
    found = BinaryCrossEntropy()(Linear(), _batch(z, y))
    assert float(found.losses["binary_cross_entropy"]) == pytest.approx(float(expected), rel=1e-6)
    assert float(found.error) == 50.0  # the first has a label too many; a logit of 0 counts as one
    assert float(label_set_error_percent(z, y)) == 50.0
    # One label an image: as a row with one 1, whose error is that of the largest logit.
    one = BinaryCrossEntropy()(Linear(), _batch(z, torch.tensor([0, 2])))
    rows = F.one_hot(torch.tensor([0, 2]), 3)
    same = BinaryCrossEntropy()(Linear(), _batch(z, rows.float()))
    expected = F.binary_cross_entropy(p, rows.double())
    assert float(one.losses["binary_cross_entropy"]) == pytest.approx(float(expected), rel=1e-6)
    assert float(same.losses["binary_cross_entropy"]) == pytest.approx(float(expected), rel=1e-6)
    assert float(one.error) == float(same.error) == 50.0


def _batch(images: torch.Tensor, labels: torch.Tensor) -> Any:
    from truelift.data import Batch

    return Batch(images, labels)


def test_average_precision_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for n, levels in ((1, 3), (20, 3), (200, 1000), (50, 1)):  # with many equal scores, few, and none that differ
        labels = rng.integers(0, 2, (n, 4))
        labels[0] = 1
        values = rng.integers(0, levels, (n, 4)) / levels
        each = [average_precision_score(labels[:, k], values[:, k]) for k in range(4)]
        assert [average_precision(labels[:, k], values[:, k]) for k in range(4)] == pytest.approx(each, rel=1e-12)
        assert mean_average_precision(labels, values) == pytest.approx(np.mean(each), rel=1e-12)
    without = np.array([[1, 0], [0, 0]])  # nobody has the second label: it has no precision
    assert mean_average_precision(without, np.array([[0.9, 0.3], [0.1, 0.9]])) == 1.0
    assert mean_average_precision(without * 0, np.ones((2, 2))) is None


def test_scores_and_predictions_by_hand(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [1, 1], [0, 0]], dtype=np.uint8)
    p = np.array([[0.5, 0.4], [0.6, 0.3], [0.1, 0.2]], dtype=np.float32)
    predictions = LabelSetPredictions.of(labels, p)
    assert (predictions.predicted == predictions.labels).tolist() == [True, False, True]
    found = scores(predictions, "test")
    loss = -np.log([0.5, 0.6, 0.6, 0.3, 0.9, 0.8]).mean()
    assert found == pytest.approx(
        {
            "test_loss": loss,
            "test_accuracy": 200 / 3,
            "test_error": 100 / 3,
            "test_mean_average_precision": 100 * (1 + 0.5) / 2,
        },
        rel=1e-6,
    )
    parts = [LabelSetPredictions.of(labels[:1], p[:1]), LabelSetPredictions.joined([])]
    joined = LabelSetPredictions.joined([*parts, LabelSetPredictions.of(labels[1:], p[1:])])
    assert joined.label_probability.tolist() == p.tolist()
    assert joined.predicted.tolist() == predictions.predicted.tolist()
    joined.write(tmp_path / "predictions.npz")
    read = Predictions.read(tmp_path / "predictions.npz")
    assert (read.predicted == read.labels).tolist() == [True, False, True]
    assert read.several
    assert refused("test_balanced_accuracy", read) == "its images may have several labels each"
    assert np.load(tmp_path / "predictions.npz")["label_table"].tolist() == labels.tolist()


def test_a_training_learns_several_labels(tmp_path: Path) -> None:
    settings = experiment(tmp_path, **{"epochs": 15, "optimizer.name": "adamw", "optimizer.lr": 0.01})
    result = run(settings, tmp_path / "run", reporter=silent)["metrics"]
    assert result["test_mean_average_precision"] > 95  # by chance some 50
    assert result["test_accuracy"] > 70  # by chance 12.5
    assert result["validation_mean_average_precision"] > 90
    predictions = Predictions.read(tmp_path / "run" / "predictions.npz")
    assert 100 * np.mean(predictions.predicted == predictions.labels) == pytest.approx(result["test_accuracy"])
    tables = np.load(tmp_path / "run" / "predictions.npz")
    expected = average_precision_score(tables["label_table"], tables["label_probability"])
    assert result["test_mean_average_precision"] == pytest.approx(100 * expected)


def test_what_follows_needs_no_predictions(tmp_path: Path) -> None:
    settings = experiment(tmp_path, epochs=1)
    run(settings, tmp_path / "run", reporter=silent)
    images = load_data(settings).test
    assert isinstance(images, ImageSet)
    whole = restore(tmp_path / "run")
    said = np.load(tmp_path / "run" / "predictions.npz")["label_probability"]
    np.testing.assert_allclose(whole(images.images).probabilities.numpy(), said, rtol=1e-5, atol=1e-7)
    assert Inputs.read(tmp_path / "run").several is True
    told = description(whole, "onnx")["outputs"][0]
    assert (told["name"], told["probabilities"]) == ("logits", "sigmoid")

    (tmp_path / "run" / "predictions.npz").unlink()
    assert restore(tmp_path / "run").several
    # Of an earlier version, whose inputs.json does not say it.
    content = json.loads((tmp_path / "run" / "inputs.json").read_text())
    del content["several_labels"]
    (tmp_path / "run" / "inputs.json").write_text(json.dumps(content))
    assert Inputs.read(tmp_path / "run").several is None
    assert restore(tmp_path / "run").several


def test_one_label_s_probabilities_are_a_softmax(tmp_path: Path) -> None:
    run(experiment(tmp_path, **{"data.args.one": True, "epochs": 1}), tmp_path / "run", reporter=silent)
    (tmp_path / "run" / "predictions.npz").unlink()
    trained = restore(tmp_path / "run")
    assert not trained.several
    assert description(trained, "onnx")["outputs"][0]["probabilities"] == "softmax"
    content = json.loads((tmp_path / "run" / "inputs.json").read_text())
    del content["several_labels"]
    (tmp_path / "run" / "inputs.json").write_text(json.dumps(content))
    assert not restore(tmp_path / "run").several


def test_a_resumed_training_is_the_same(tmp_path: Path) -> None:
    settings = experiment(tmp_path, epochs=2)
    whole = run(settings, tmp_path / "whole", reporter=silent)

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["step"] >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "again", reporter=crash, checkpoint_seconds=0)
    again = run(settings, tmp_path / "again", reporter=silent)
    for name in ("test_loss", "test_mean_average_precision", "train_loss"):
        assert whole["metrics"][name] == again["metrics"][name]


def test_one_label_an_image(tmp_path: Path) -> None:
    result = run(experiment(tmp_path, **{"data.args.one": True}), tmp_path / "run", reporter=silent)["metrics"]
    assert "test_mean_average_precision" not in result
    assert result["test_accuracy"] > 60
    made = experiment(tmp_path, **{"data.args.one": True, "augmentation.names": ["mixup"]})
    training: Any = assemble(made, load_data(made))
    losses = training.objective(training.network, training.batches.at(0)).losses
    assert bool(losses["binary_cross_entropy"].isfinite())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective.name": "softmax"}, "objective.name must be binary-cross-entropy for images with several labels"),
        ({"objective.name": "gaussian-mixture"}, "objective.name must be binary-cross-entropy for images with several"),
        ({"data.sampling": "balanced"}, "data.sampling must be shuffle for images with several labels, got balanced"),
        ({"augmentation.names": ["mixup"]}, "augmentation.names must be others than mixup, cutmix .*, got mixup"),
        ({"probe.name": "linear-svm"}, "probe.name must be none for images with several labels"),
        ({"tasks.main": ["0", "1"]}, "tasks.main must be left out for images with several labels"),
        ({"objective.feature_size": 2}, "objective.feature_size must be other than 2 for images with several labels"),
        ({"objective.class_weights": "balanced"}, "objective.class_weights must be left out for other objectives"),
        ({"detection.fgsm_epsilon": 0.1}, "detection must be left out for images with several labels"),
    ],
)
def test_what_takes_one_label_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    def attempt() -> None:
        load_data(experiment(tmp_path, **settings))

    with pytest.raises(InputError, match=message):
        attempt()
