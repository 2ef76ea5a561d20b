"""Against formulas written differently, in float64 by NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from truelift.data import AugmentationOptions, Batches, ImageSet, PreprocessingOptions, Splits, fit_preprocessing
from truelift.data.augment import augment, normalise
from truelift.data.preprocessing import MeanImage, Whitening
from truelift.errors import InputError
from truelift.seeds import derive


def images(n: int, channels: int = 3, height: int = 5, width: int = 6, seed: int = 0) -> Tensor:
    """Smooth images, so that neighbouring pixels go together, as in photographs."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(n, height, width, channels))
    smooth = rough.cumsum(1).cumsum(2) + 2 * rng.normal(size=(n, 1, 1, channels))
    pixels = np.clip(128 + 20 * smooth, 0, 255).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def splits(train: Tensor, test: Tensor | None = None) -> Splits:
    sets = [ImageSet(x, torch.arange(len(x)) % 2) for x in (train, train if test is None else test)]
    return Splits(sets[0], None, sets[1], ("a", "b"), 0)


def rows(x: Tensor) -> np.ndarray:
    return x.double().numpy().reshape(len(x), -1)


def fitted(name: str, train: Tensor, epsilon: float = 0.1) -> object:
    return fit_preprocessing(PreprocessingOptions(name=name, epsilon=epsilon), splits(train))


@pytest.mark.parametrize("n", [1, 300])
def test_mean_image(n: int) -> None:
    train, other = images(n), images(7, seed=1)
    x = rows(train) / 255
    scale = max(np.sqrt(((x - x.mean(0)) ** 2).mean()), 1 / 255)
    expected = (rows(other) / 255 - x.mean(0)) / scale
    result = MeanImage(train)(other)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(rows(result), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1])
def test_whitening_is_the_inverse_root_of_the_covariance(epsilon: float) -> None:
    train, other = images(600), images(7, seed=1)
    x = rows(train) / 255
    scale = np.sqrt(((x - x.mean(0)) ** 2).mean())
    z = (x - x.mean(0)) / scale
    # By the singular values of the data, not by the covariance.
    _, singular, directions = np.linalg.svd(z, full_matrices=True)
    matrix = directions.T @ np.diag(1 / np.sqrt(singular**2 / len(z) + epsilon)) @ directions
    expected = (rows(other) / 255 - x.mean(0)) / scale @ matrix
    result = Whitening(train, epsilon)(other)
    assert result.shape == other.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(rows(result), expected, rtol=1e-3, atol=1e-3)


def test_whitened_training_images_have_unit_covariance() -> None:
    train = images(2000)
    white = rows(Whitening(train, 1e-6)(train))
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(white.shape[1]), atol=2e-3)


def test_fewer_images_than_values_can_be_whitened() -> None:
    train = images(20)
    white = Whitening(train, 0.1)(images(50, seed=1))
    assert white.isfinite().all()
    assert white.abs().max() < 100


def test_constant_images_stay_finite() -> None:
    train = torch.full((4, 1, 3, 3), 7, dtype=torch.uint8)
    for name in ("mean-image", "zca"):
        assert torch.equal(fitted(name, train)(train), torch.zeros(4, 1, 3, 3))  # type: ignore[operator]


def test_channels_and_none() -> None:
    train = images(30)
    of = splits(train)
    assert torch.equal(fitted("channels", train)(train), normalise(train, of.mean, of.std))  # type: ignore[operator]
    torch.testing.assert_close(fitted("none", train)(train), train / 255)  # type: ignore[operator]


def test_the_figures_are_those_of_the_training_images_alone() -> None:
    train = images(50)
    for name in ("channels", "none", "mean-image", "zca"):
        options = PreprocessingOptions(name=name)
        one, other = (fit_preprocessing(options, splits(train, images(9, seed=seed))) for seed in (1, 2))
        assert torch.equal(one(train), other(train))


def test_batches_are_preprocessed_after_the_augmentation() -> None:
    train = images(8)
    options = AugmentationOptions(crop_padding=2, flip=True, cutout=3)
    white, of = Whitening(train, 0.1), splits(train)
    batches = Batches(
        ImageSet(train, torch.arange(8)),
        4,
        mean=of.mean,
        std=of.std,
        preprocess=white,
        order_seed=1,
        augmentation=options,
        augment_seed=2,
    )
    fill = torch.tensor(of.mean).mul(255).round().to(torch.uint8)
    for number, (x, labels, _) in enumerate(batches.epoch(3)):
        drawn = torch.Generator().manual_seed(derive(2, 3, number))
        shown = of.train.subset(labels)
        assert isinstance(shown, ImageSet)
        assert torch.equal(x, white(augment(shown.images, options, fill, drawn)))


def test_images_too_large_to_be_whitened_are_refused() -> None:
    large = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    with pytest.raises(
        InputError, match=r"zca needs images of at most 4096 values, got 3 x 40 x 40; see --data.resize"
    ):
        fitted("zca", large)
