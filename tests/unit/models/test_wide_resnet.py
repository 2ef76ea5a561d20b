"""Against known parameter counts, and a forward pass written differently, in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import ModelOptions, WideResNet, build_model


@pytest.mark.parametrize(
    ("depth", "widen", "count"), [(28, 10, 36_479_194), (16, 4, 2_748_890), (40, 4, 8_949_210), (16, 8, 10_961_370)]
)
def test_parameter_counts(depth: int, widen: int, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in WideResNet(depth, widen, 10).parameters()) == count


def reference(network: WideResNet, images: Tensor, blocks: int) -> Tensor:
    """The same network from its state dict, by loops and explicit formulas."""
    weights = network.state_dict()

    def active(x: Tensor, name: str) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scaled = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
        found: Tensor = (
            scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
        ).clamp(min=0)
        return found

    x = F.conv2d(images, weights["stem.weight"], padding=1)
    for i in range(3 * blocks):
        b = f"blocks.{i}"
        stride = 2 if i in (blocks, 2 * blocks) else 1
        a = active(x, f"{b}.bn1")
        y = F.conv2d(a, weights[f"{b}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(active(y, f"{b}.bn2"), weights[f"{b}.conv2.weight"], padding=1)
        if f"{b}.shortcut.weight" in weights:
            assert i % blocks == 0
            side = torch.einsum("nchw,oc->nohw", a[..., ::stride, ::stride], weights[f"{b}.shortcut.weight"][..., 0, 0])
        else:
            side = x
        x = side + y
    found: Tensor = active(x, "norm").mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    return found


@pytest.mark.parametrize("widen", [1, 2])
def test_forward_equals_an_independent_one(widen: int) -> None:
    network = build_model(ModelOptions(name=f"wrn-16-{widen}"), classes=5, in_channels=3).double()
    assert isinstance(network, WideResNet)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 8, 12, generator=generator, dtype=torch.float64)
    network(images)  # moves the running statistics off their initial 0 and 1
    network.eval()
    torch.testing.assert_close(network(images), reference(network, images, 2), rtol=1e-10, atol=1e-10)
    assert network.features(images).shape == (4, network.feature_size)


@pytest.mark.parametrize(("depth", "nearest"), [(27, 28), (18, 16), (4, 10), (0, 10)])
def test_bad_depths(depth: int, nearest: int) -> None:
    with pytest.raises(InputError, match=rf"must be 6n\+4, got {depth}. Did you mean {nearest}\?"):
        WideResNet(depth, 4, 10)


def test_bad_factor() -> None:
    with pytest.raises(InputError, match="factor must be at least 1, got 0"):
        WideResNet(10, 0, 10)
