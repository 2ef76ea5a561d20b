"""Against parameter counts of He et al., Table 6, and a forward pass written differently, in float64."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import CifarResNet, ModelOptions, build_model, check_image_size, initialise
from truelift.models.blocks import ResidualBlock


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7"), (1202, "19.4")]
)
def test_parameter_counts_are_the_papers(depth: int, millions: str) -> None:
    with torch.device("meta"):
        network = CifarResNet(depth, 10)
    count = sum(p.numel() for p in network.parameters()) / 1e6
    assert f"{count:.{len(millions.partition('.')[2])}f}" == millions


def reference(network: CifarResNet, images: Tensor, shortcut: str, batch_norm: str, last_relu: bool) -> Tensor:
    """The same network from its state dict, by loops and explicit formulas."""
    weights = network.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scaled = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
        found: Tensor = scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
        return found

    x = norm(F.conv2d(images, weights["stem.0.weight"], padding=1), "stem.1").clamp(min=0)
    blocks = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    for i in range(blocks):
        b = f"blocks.{i}"
        stride = 2 if i in (blocks // 3, 2 * blocks // 3) else 1
        inner = norm(F.conv2d(x, weights[f"{b}.conv1.weight"], stride=stride, padding=1), f"{b}.bn1").clamp(min=0)
        y = F.conv2d(inner, weights[f"{b}.conv2.weight"], padding=1)
        if shortcut == "C" or (shortcut == "B" and stride == 2):
            side = norm(F.conv2d(x, weights[f"{b}.shortcut.0.weight"], stride=stride), f"{b}.shortcut.1")
        else:
            side = x[:, :, ::stride, ::stride]
            side = torch.cat([side, side.new_zeros(len(x), y.shape[1] - x.shape[1], *side.shape[2:])], dim=1)
        y = norm(y, f"{b}.bn2") + side if batch_norm == "before" else norm(y + side, f"{b}.bn2")
        x = y.clamp(min=0) if last_relu else y
    found: Tensor = x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    return found


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("batch_norm", ["before", "after"])
@pytest.mark.parametrize("last_relu", [True, False])
def test_forward_equals_an_independent_one(shortcut: str, batch_norm: str, last_relu: bool) -> None:
    options = ModelOptions(name="resnet14", shortcut=shortcut, batch_norm=batch_norm, last_relu=last_relu, width=4)  # type: ignore[arg-type]
    network: Any = build_model(options, classes=5, in_channels=3).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 12, 12, generator=generator, dtype=torch.float64)
    network(images)  # moves the running statistics off their initial 0 and 1
    network.eval()
    expected = reference(network, images, shortcut, batch_norm, last_relu)
    torch.testing.assert_close(network(images), expected, rtol=1e-10, atol=1e-10)


def test_gradients_stay_channels_last() -> None:
    """Otherwise every stage's last ReLU and batch norm run several times slower."""
    network = CifarResNet(8, 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layouts = []
    for block in network.blocks:
        block.register_full_backward_hook(
            lambda module, _, grads: layouts.append(grads[0].is_contiguous(memory_format=torch.channels_last))
        )
    images = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    network(images).sum().backward()
    assert layouts == [True] * 3


def test_same_named_layers_start_equal_in_all_variants() -> None:
    plain: Any = CifarResNet(20, 10)
    projected = CifarResNet(20, 10, shortcut="C")
    initialise(plain, 3)
    initialise(projected, 3)
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, projected.get_parameter(name)), name
    other: Any = CifarResNet(20, 10)
    initialise(other, 4)
    assert not torch.equal(plain.stem[0].weight, other.stem[0].weight)


def test_initial_spread_is_he_et_als() -> None:
    network: Any = CifarResNet(20, 10)
    initialise(network, 0)
    weight = network.blocks[8].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.03)


def test_drawing_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    initialise(CifarResNet(8, 2), 0)
    # The network's own construction draws too, so make it before.
    network = CifarResNet(8, 2)
    torch.manual_seed(5)
    initialise(network, 0)
    assert torch.equal(torch.rand(3), expected)


def test_a_shortcut_that_cannot_match_is_refused() -> None:
    with pytest.raises(InputError, match=r"channels_out must be at least 64 for shortcut A, got 32."):
        ResidualBlock(64, 32, 1, shortcut="A")
    assert ResidualBlock(64, 32, 1, shortcut="B")(torch.zeros(2, 64, 4, 4)).shape == (2, 32, 4, 4)


def test_images_smaller_than_the_stride_are_refused() -> None:
    check_image_size(CifarResNet(8, 2), 4, 4)
    with pytest.raises(InputError, match="images must be at least 4 pixels wide and high, got 9x3"):
        check_image_size(CifarResNet(8, 2), 3, 9)
