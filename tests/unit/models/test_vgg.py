"""Against known parameter counts, and a forward pass written differently, in float64."""

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import ModelOptions, Vgg, build_model

# Convolutions in each of the five stages (Simonyan and Zisserman, Table 1: A, B, D, E).
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


@pytest.mark.parametrize("width", [None, 16])
@pytest.mark.parametrize("depth", STAGES)
def test_parameter_counts(depth: int, width: int | None) -> None:
    with torch.device("meta"):
        network: Any = build_model(ModelOptions(name=f"vgg{depth}", width=width), classes=10, in_channels=3)
    channels = [c * (width or 64) // 64 for c in CHANNELS]
    sizes = [3] + [c for c, repeats in zip(channels, STAGES[depth], strict=True) for _ in range(repeats)]
    expected = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(sizes)) + channels[-1] * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == expected
    assert len(network.layers()) == depth - 2  # three linear layers of the paper's are one here


def test_forward_equals_an_independent_one() -> None:
    network = build_model(ModelOptions(name="vgg13"), classes=5, in_channels=3).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 32, 64, generator=generator, dtype=torch.float64)
    network(images)  # moves the running statistics off their initial 0 and 1
    network.eval()
    weights, x, number = network.state_dict(), images, 0
    for repeats in STAGES[13]:
        for _ in range(repeats):
            name = f"blocks.{number}"
            x = F.conv2d(x, weights[f"{name}.0.weight"], padding=1)
            mean, var, scale, shift = (
                weights[f"{name}.1.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
            )
            x = ((x - mean) / torch.sqrt(var + 1e-5) * scale + shift).clamp(min=0)
            number += 1
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
    expected: Tensor = x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(network(images), expected, rtol=1e-10, atol=1e-10)
    assert network.features(images).shape == (2, 512)


@pytest.mark.parametrize(("depth", "nearest"), [(17, 16), (10, 11), (50, 19)])
def test_bad_depths(depth: int, nearest: int) -> None:
    with pytest.raises(InputError, match=rf"must be 11, 13, 16 or 19, got {depth}. Did you mean {nearest}\?"):
        Vgg(depth, 10)
