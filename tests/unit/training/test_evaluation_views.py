"""Evaluation over several views of an image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from truelift.training import resolve, run
from truelift.training.evaluation import seen
from truelift.training.settings import parse_experiment

IMAGES = torch.randn(4, 2, 5, 6, generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.randn(3, 2 * 5 * 6, generator=torch.Generator().manual_seed(1))


def logits(images: Tensor) -> Tensor:
    """Of a linear network, whose mean over views is its value for the mean view."""
    return images.flatten(1) @ WEIGHTS.T


def shifted(image: np.ndarray, down: int) -> np.ndarray:
    """An image (C, H, W) moved down and right by -1 or 1."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    return padded[:, 1 - down : 1 - down + image.shape[1], 1 - down : 1 - down + image.shape[2]]


def test_views_against_numpy() -> None:
    images = IMAGES.double().numpy()
    both = (images + images[..., ::-1]) / 2
    moved = [np.stack([shifted(image, down) for image in images]) for down in (-1, 1)]
    moved_both = [(each + each[..., ::-1]) / 2 for each in moved]
    expected = {"one": images, "flip": both, "flip-shift": both / 2 + (moved_both[0] + moved_both[1]) / 4}
    for views, mean in expected.items():
        found = seen(logits, IMAGES, views)  # type: ignore[arg-type]
        wanted = mean.reshape(4, -1) @ WEIGHTS.double().numpy().T
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert not np.allclose(moved[0], moved[1])


def test_a_mirrored_image_is_seen_alike() -> None:
    for views in ("flip", "flip-shift"):
        one = seen(lambda x: x.square().sum((2, 3)) + x[:, :, 0, 0].cos(), IMAGES, "flip")
        other = seen(lambda x: x.square().sum((2, 3)) + x[:, :, 0, 0].cos(), IMAGES.flip(3), "flip")
        torch.testing.assert_close(one, other, msg=views)


@pytest.mark.parametrize("views", ["flip", "flip-shift"])
def test_views_change_what_is_evaluated_and_not_what_is_learnt(views: str, tmp_path: Path) -> None:
    settings = {"model.name": "small-cnn", "model.width": 4, "epochs": 1, "data.test_images": 100}
    found = []
    for name in ("one", views):
        experiment = resolve(parse_experiment({**settings, "evaluation_views": name}, "test"))
        found.append(run(experiment, tmp_path / name, reporter=lambda line, steps: None)["metrics"])
    assert found[0]["train_loss"] == found[1]["train_loss"]
    assert found[0]["test_loss"] != found[1]["test_loss"]
