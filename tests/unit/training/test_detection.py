"""Detection after training, on digits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from truelift.data import ImageSet
from truelift.errors import InputError
from truelift.training import resolve, run
from truelift.training.afterwards import detection
from truelift.training.afterwards.detection import _attacked, fgsm, load_outliers
from truelift.training.build import assemble, load_data
from truelift.training.settings import parse_experiment


def noise(folder: Path, mode: str = "L", side: int = 8) -> str:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(100):
            shape = (side, side) if mode == "L" else (side, side, 3)
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name / f"{i}.png")
    return str(folder)


@pytest.mark.parametrize("objective", ["softmax", "gaussian-mixture"])
def test_noise_and_attacks_are_told_from_digits(tmp_path: Path, objective: str) -> None:
    settings: dict[str, Any] = {
        "model.name": "resnet8",
        "epochs": 8,
        "batch_size": 32,
        "optimizer.lr": 0.02,
        "precision": "fp32",
        "objective.name": objective,
        "detection.outliers": noise(tmp_path / "noise"),
        "detection.fgsm_epsilon": 40.0,
        "detection.images": 200,
    }
    experiment = resolve(parse_experiment(settings, "test"))
    metrics = run(experiment, tmp_path / "run", reporter=lambda line, steps: None)["metrics"]
    own = "likelihood" if objective == "gaussian-mixture" else "confidence"
    for kind in ("outlier", "fgsm"):
        assert metrics[f"{kind}_auroc"] == metrics[f"{kind}_{own}_auroc"]
        assert ("outlier_likelihood_auroc" in metrics) == (objective == "gaussian-mixture")
    # Chance is 50; 93 and more are reached.
    assert metrics["outlier_mahalanobis_auroc"] > 75
    assert metrics["outlier_auroc"] > 75
    assert metrics["fgsm_accuracy"] < metrics["test_accuracy"] - 10


def test_fgsm_of_a_linear_classifier_by_hand() -> None:
    # With weights w and -w the loss of class 0 falls along w: the attack goes against it, a step a pixel, and clamps.
    weight = torch.tensor([[1.0, -2.0], [-1.0, 2.0]])
    images = torch.tensor([[0.5, 0.95]], requires_grad=True)
    logits = F.linear(images, weight)
    moved = fgsm(logits, images, torch.tensor([0]), torch.tensor(0.1), torch.tensor(0.0), torch.tensor(1.0))
    torch.testing.assert_close(moved, torch.tensor([[0.4, 1.0]]))


def test_outliers_must_have_the_images_channels(tmp_path: Path) -> None:
    settings = {"detection.outliers": noise(tmp_path / "colour", mode="RGB")}
    experiment = resolve(parse_experiment(settings, "test"))
    with pytest.raises(InputError, match=r"detection.outliers must have 1 channels, .*got 3"):
        load_outliers(experiment.detection, load_data(experiment))


def test_nothing_is_measured_that_nobody_asked_for(tmp_path: Path) -> None:
    settings = {"model.name": "resnet8", "model.width": 4, "epochs": 1}
    result = run(resolve(parse_experiment(settings, "test")), tmp_path, reporter=lambda line, steps: None)
    assert not [name for name in result["metrics"] if "auroc" in name]


@pytest.mark.parametrize("name", ["channels", "none", "mean-image"])
def test_the_attack_is_of_its_size_in_pixels(name: str) -> None:
    settings = {"model.name": "resnet8", "preprocessing": name, "precision": "fp32"}
    experiment = resolve(parse_experiment(settings, "test"))
    training = assemble(experiment, splits := load_data(experiment))
    test = splits.test.subset(torch.arange(50))
    assert isinstance(test, ImageSet)
    training.network.eval()
    moved = torch.cat([x for x, *_ in _attacked(training, splits, test, 8 / 255)])
    one = test.images[:1]
    black, white = (training.preprocess(torch.full_like(one, value)) for value in (0, 255))
    pixels = 255 * (moved - black) / (white - black)
    expected = (test.images - 8.0).clamp(0, 255), (test.images + 8.0).clamp(0, 255)
    off = torch.minimum(*((pixels - values).abs() for values in expected))
    # Where the gradient is exactly 0 the pixel stays.
    assert ((off < 1e-2) | ((pixels - test.images).abs() < 1e-2)).all()
    assert (off < 1e-2).double().mean() > 0.9


@pytest.mark.parametrize("given", [{"detection.fgsm_epsilon": 2.0}, {"detection.outliers": "noise"}])
def test_a_class_without_training_images_is_told_before_the_training(tmp_path: Path, given: dict[str, Any]) -> None:
    if "detection.outliers" in given:
        given = {"detection.outliers": noise(tmp_path / "noise")}
    splits = load_data(resolve(parse_experiment({}, "test")))
    kept = torch.tensor([label not in (2, 5) for label in splits.train.labels.tolist()]).nonzero()[:, 0]
    options = resolve(parse_experiment(given, "test")).detection
    with pytest.raises(
        InputError, match=r"^detection\.\w+ needs training images of every class, got none of 2 of 10: 2, 5"
    ):
        detection.build(options, replace(splits, train=splits.train.subset(kept)))
    detection.build(options, splits)
