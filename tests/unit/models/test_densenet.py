"""Against published parameter counts, and a forward pass written differently, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import DenseNet, ModelOptions, build_model


@pytest.mark.parametrize(("depth", "growth", "millions"), [(100, 12, "0.77"), (250, 24, "15.3"), (190, 40, "25.6")])
def test_parameter_counts_are_the_papers(depth: int, growth: int, millions: str) -> None:
    with torch.device("meta"):
        network = DenseNet(depth, 10, growth=growth)
    count = sum(p.numel() for p in network.parameters()) / 1e6
    assert f"{count:.{len(millions.partition('.')[2])}f}" == millions


def test_exact_count() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in DenseNet(100, 10).parameters()) == 769_162


def reference(network: DenseNet, images: Tensor, layers: int) -> Tensor:
    """The same network from its state dict: every layer sees the list of all maps before it."""
    weights = network.state_dict()

    def active(x: Tensor, name: str) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scaled = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
        found: Tensor = (
            scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
        ).clamp(min=0)
        return found

    maps = [F.conv2d(images, weights["stem.weight"], padding=1)]
    number = 0
    for block in range(3):
        for _ in range(layers):
            name = f"blocks.{number}"
            inner = torch.einsum(
                "nchw,oc->nohw", active(torch.cat(maps, 1), f"{name}.bn1"), weights[f"{name}.conv1.weight"][..., 0, 0]
            )
            maps.append(F.conv2d(active(inner, f"{name}.bn2"), weights[f"{name}.conv2.weight"], padding=1))
            number += 1
        if block < 2:
            name = f"blocks.{number}"
            x = F.conv2d(active(torch.cat(maps, 1), f"{name}.bn"), weights[f"{name}.conv.weight"])
            maps = [x.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))]
            number += 1
    found: Tensor = active(torch.cat(maps, 1), "norm").mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    return found


def test_forward_equals_an_independent_one() -> None:
    network = build_model(ModelOptions(name="densenet16", width=5), classes=5, in_channels=3).double()
    assert isinstance(network, DenseNet)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 8, 12, generator=generator, dtype=torch.float64)
    network(images)  # moves the running statistics off their initial 0 and 1
    network.eval()
    torch.testing.assert_close(network(images), reference(network, images, 2), rtol=1e-10, atol=1e-10)
    assert network.features(images).shape == (4, network.feature_size)


@pytest.mark.parametrize(("depth", "nearest"), [(41, 40), (99, 100), (4, 10), (0, 10)])
def test_bad_depths(depth: int, nearest: int) -> None:
    with pytest.raises(InputError, match=rf"must be 6n\+4, got {depth}. Did you mean {nearest}\?"):
        DenseNet(depth, 10)


def test_bad_growth() -> None:
    with pytest.raises(InputError, match=r"model\.width must be at least 1, got 0"):
        DenseNet(10, 10, growth=0)
