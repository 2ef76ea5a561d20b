"""The wide, short network, and its first layer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from truelift.data import DataOptions, resolve_data
from truelift.errors import InputError
from truelift.models import ModelOptions, ShortCnn, build_model, check_image_size, initialise
from truelift.models.partly_identity import PartlyIdentity
from truelift.models.whitening import WhiteningConvolution, filters, whitening_layers
from truelift.techniques.freezeout import plain_cost
from truelift.training import resolve
from truelift.training.build import assemble, load_data
from truelift.training.settings import parse_experiment


def images(n: int = 40) -> torch.Tensor:
    """Smooth ones, whose neighbouring pixels are alike."""
    drawn = torch.randn(n, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return F.interpolate(drawn, 20, mode="bilinear")


def patches(pictures: torch.Tensor, kernel: int) -> np.ndarray:
    """Every patch as a vector, in float64."""
    found = []
    for y in range(pictures.shape[2] - kernel + 1):
        for x in range(pictures.shape[3] - kernel + 1):
            found.append(pictures[:, :, y : y + kernel, x : x + kernel].flatten(1))
    return torch.cat(found).double().numpy()


@pytest.mark.parametrize("kernel", [2, 3])
def test_what_it_gives_is_white(kernel: int) -> None:
    layer = WhiteningConvolution(3, kernel, epsilon=1e-9)
    layer.fit(images().split(7))
    outputs = layer(images()).detach()
    size = 3 * kernel**2
    assert outputs.shape == (40, 2 * size, 21 - kernel, 21 - kernel)
    rows = outputs.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(rows[:size] @ rows[:size].T / rows.shape[1], torch.eye(size).double(), rtol=0, atol=1e-2)
    torch.testing.assert_close(rows[size:], -rows[:size])


def test_the_filters_against_numpy() -> None:
    vectors = patches(images(), 2)
    values, directions = np.linalg.eigh(vectors.T @ vectors / len(vectors))
    layer = WhiteningConvolution(3, 2, epsilon=0.01)
    layer.fit([images()])
    found = layer.weight[:12].flatten(1).double().numpy()
    expected = (directions / np.sqrt(values + 0.01)).T[::-1]
    signs = np.sign((found * expected).sum(1))  # an eigenvector has none
    np.testing.assert_allclose(found, expected * signs[:, None], rtol=2e-3, atol=2e-3)
    largest = np.abs(found).argmax(1)
    assert (found[np.arange(12), largest] > 0).all()
    assert layer.weight.requires_grad is False
    assert [name for name, _ in layer.named_parameters()] == ["bias"]


def test_filters_of_a_known_covariance() -> None:
    found = filters(torch.diag(torch.tensor([4.0, 9.0], dtype=torch.float64)), 0.0)
    torch.testing.assert_close(found, torch.tensor([[0, 1 / 3], [0.5, 0], [0, -1 / 3], [-0.5, 0]]).double())


def test_before_it_is_fitted_it_gives_the_pixels() -> None:
    outputs = WhiteningConvolution(3, 2)(images())
    torch.testing.assert_close(outputs[:, 0], images()[:, 0, :-1, :-1])
    torch.testing.assert_close(outputs[:, 12], -images()[:, 0, :-1, :-1])


def test_epsilon_is_above_0() -> None:
    with pytest.raises(InputError, match="epsilon must be above 0 and at most 10⁹, got 0"):
        WhiteningConvolution(3, 2, epsilon=0)


@pytest.mark.parametrize(("channels", "outputs"), [(3, 5), (5, 3)])
def test_a_convolution_begins_as_the_identity(channels: int, outputs: int) -> None:
    layer = PartlyIdentity(channels, outputs, 3, padding=1, bias=False)
    initialise(layer, 0)
    pictures = torch.randn(2, channels, 7, 7)
    same = min(channels, outputs)
    torch.testing.assert_close(layer(pictures)[:, :same], pictures[:, :same])
    if outputs > channels:
        assert 0 < layer.weight[channels:].abs().max() <= 1 / (9 * channels) ** 0.5


def test_weights_by_hand() -> None:
    network = ShortCnn(10)
    first, maps = 24, [(24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)]
    expected = first + sum(9 * a * b + 2 * b for a, b in maps) + 256 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.feature_size == 256
    assert [*network.layers()] == [network.stem, *network.blocks, network.head]
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, 256)


def test_operations_by_hand() -> None:
    network, width = ShortCnn(10, width=8), 8
    sides = [(31, 24, width), (15, width, width), (15, width, 4 * width), (7, 4 * width, 4 * width)]
    sides += [(7, 4 * width, 4 * width), (3, 4 * width, 4 * width)]
    forward = sum(2 * 9 * a * b * side**2 for side, a, b in sides)
    head = 2 * 4 * width * 10
    stem = 2 * 12 * 24 * 31**2  # its filters want no gradient, nor do the images
    below = 2 * forward  # each convolution's filters, and what it takes, as the first layer's biases are trained
    found = plain_cost(network, torch.empty(2, 3, 32, 32)) / 2
    assert found == pytest.approx(stem + forward + below + 3 * head)


@pytest.mark.parametrize(("kernel", "smallest"), [(2, 9), (3, 10)])
def test_the_smallest_images(kernel: int, smallest: int) -> None:
    options = ModelOptions(name="short-cnn", width=2, first_kernel=kernel)  # type: ignore[arg-type]
    network = build_model(options, classes=3, in_channels=1)
    assert network(torch.zeros(2, 1, smallest, smallest)).shape == (2, 3)
    check_image_size(network, smallest, smallest)
    with pytest.raises(InputError, match=f"images must be at least {smallest} pixels"):
        check_image_size(network, smallest - 1, smallest)


def test_options() -> None:
    options = ModelOptions(name="short-cnn", width=2, whitening=False, identity_start=False, activation="relu")
    network = build_model(options, classes=3, in_channels=3)
    kinds = [type(module) for module in network.modules()]
    assert nn.ReLU in kinds
    assert nn.GELU not in kinds
    assert PartlyIdentity not in kinds
    assert whitening_layers(network) == []
    with pytest.raises(InputError, match=r"resnet20 has no option model.whitening, got False"):
        build_model(ModelOptions(whitening=False), classes=3, in_channels=3)


def test_a_training_fits_it_to_its_images_as_the_network_takes_them() -> None:
    settings = {
        "model.name": "short-cnn",
        "model.width": 2,
        "data.resize": 9,
        "data.name": resolve_data(DataOptions()).name,
    }
    experiment = resolve(parse_experiment(settings, "test"))
    splits = load_data(experiment)
    training = assemble(experiment, splits)
    (layer,) = whitening_layers(training.network)
    vectors = patches(training.preprocess(splits.train.images), 2)  # type: ignore[union-attr]
    expected = filters(torch.from_numpy(vectors.T @ vectors / len(vectors)), 5e-4)
    torch.testing.assert_close(layer.weight.flatten(1).double(), expected, rtol=1e-2, atol=1e-2)
    assert torch.equal(layer.weight, whitening_layers(assemble(experiment, splits).network)[0].weight)
    kept = whitening_layers(training.network, [layer])
    assert kept == []
