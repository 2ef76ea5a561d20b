"""Detection after training, on digits."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from truelift.data import DataOptions, ImageSet
from truelift.errors import InputError
from truelift.training import resolve, run
from truelift.training.afterwards import detection
from truelift.training.afterwards.detection import _attacked, fgsm, load_outliers
from truelift.training.build import assemble, load_data
from truelift.training.evaluation import evaluation_batches
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
        load_outliers(experiment.detection, experiment.data, load_data(experiment))


def flat(folder: Path) -> None:
    noise(folder)
    for name in ("a", "b"):
        for file in (folder / name).iterdir():
            file.rename(folder / f"{name}{file.name}")
        (folder / name).rmdir()


def one_class(folder: Path) -> None:
    noise(folder / "textures")


def without_labels(folder: Path) -> None:
    noise(folder / "files")
    files = sorted((folder / "files").rglob("*.png"))
    pq.write_table(pa.table({"image": [file.read_bytes() for file in files]}), folder / "0.parquet")
    shutil.rmtree(folder / "files")


def with_labels_and_splits(folder: Path) -> None:
    noise(folder / "files")
    files = [file.read_bytes() for file in sorted((folder / "files").rglob("*.png"))]
    for split, part in (("train", files[:120]), ("test", files[120:])):
        pq.write_table(pa.table({"image": part, "label": [0] * len(part)}), folder / f"{split}.parquet")
    shutil.rmtree(folder / "files")


def in_a_table(folder: Path) -> None:
    noise(folder.parent / "elsewhere")
    files = sorted((folder.parent / "elsewhere").rglob("*.png"))
    lines = [f"{file},{file.parent.name},{'train' if n % 3 else 'test'}" for n, file in enumerate(files)]
    (folder / "set.csv").write_text("\n".join(["file,label,split", *lines]))


@pytest.mark.parametrize("made", [noise, flat, one_class, without_labels, with_labels_and_splits, in_a_table])
def test_all_outliers_are_used_and_need_no_class(tmp_path: Path, made: Callable[[Path], object]) -> None:
    (folder := tmp_path / "outliers").mkdir()
    made(folder)
    experiment = resolve(parse_experiment({"detection.outliers": str(folder)}, "test"))
    splits = load_data(experiment)
    found = load_outliers(experiment.detection, experiment.data, splits)
    assert isinstance(found, ImageSet)
    assert len(found) == 200
    assert len({image.numpy().tobytes() for image in found.images}) == 200
    few = load_outliers(replace(experiment.detection, images=50), experiment.data, splits)
    assert isinstance(few, ImageSet)
    assert len(few) == 50
    assert torch.isin(few.images.flatten(1).double().sum(1), found.images.flatten(1).double().sum(1)).all()


def test_a_folder_without_images_has_no_outliers(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "empty.parquet")
    for name in ("empty", "empty.parquet"):
        experiment = resolve(parse_experiment({"detection.outliers": str(tmp_path / name)}, "test"))
        with pytest.raises(InputError, match="no image found"):
            load_outliers(experiment.detection, experiment.data, load_data(experiment))


@pytest.mark.parametrize("stream", [False, True])
def test_outliers_are_prepared_as_the_test_images_are(tmp_path: Path, stream: bool) -> None:
    noise(tmp_path / "photographs", "RGB", side=20)
    settings = {
        "data.path": str(tmp_path / "photographs"),
        "data.resize": 8,
        "data.stream": stream,
        "data.workers": 0 if stream else None,
        "data.evaluation_crop": 0.5 if stream else 0.875,
        "detection.outliers": str(tmp_path / "photographs"),
    }
    experiment = resolve(parse_experiment({k: v for k, v in settings.items() if v is not None}, "test"))
    splits = load_data(experiment)
    found = load_outliers(experiment.detection, experiment.data, splits)
    assert found is not None
    ours, others = (
        {
            image.numpy().tobytes()
            for images, *_ in evaluation_batches(of, splits, lambda x: x, "cpu").epoch(0)
            for image in images
        }
        for of in (splits.test, found)
    )
    assert ours < others


@pytest.mark.parametrize("stream", [False, True])
def test_gray_outliers_are_made_colour(tmp_path: Path, stream: bool) -> None:
    noise(tmp_path / "photographs", "RGB")
    gray = noise(tmp_path / "gray")
    settings = {"data.path": str(tmp_path / "photographs"), "data.resize": 8, "detection.outliers": gray}
    settings |= {"data.stream": True, "data.workers": 0} if stream else {}
    experiment = resolve(parse_experiment(settings, "test"))
    splits = load_data(experiment)
    found = load_outliers(experiment.detection, experiment.data, splits)
    assert found is not None
    images, *_ = next(iter(evaluation_batches(found, splits, lambda x: x, "cpu").epoch(0)))
    assert images.shape[1:] == (3, 8, 8)


def test_outliers_that_cannot_be_decoded_may_be_skipped(tmp_path: Path) -> None:
    noise(tmp_path / "noise")
    (tmp_path / "noise" / "a" / "0.png").write_bytes(b"none")
    experiment = resolve(parse_experiment({"detection.outliers": str(tmp_path / "noise")}, "test"))
    splits = load_data(experiment)
    with pytest.raises(InputError, match=r"0\.png: cannot decode"):
        load_outliers(experiment.detection, experiment.data, splits)
    found = load_outliers(experiment.detection, replace(experiment.data, on_error="skip"), splits)
    assert found is not None
    assert len(found) == 199


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
        detection.build(options, DataOptions(), replace(splits, train=splits.train.subset(kept)))
    detection.build(options, DataOptions(), splits)
