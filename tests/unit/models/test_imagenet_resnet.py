"""Against published parameter counts, and a forward pass written differently, in float64."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import (
    CifarResNet,
    ImageNetResNet,
    ModelOptions,
    SmallCnn,
    build_model,
    check_image_size,
    initialise,
)

PER_STAGE = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}


@pytest.mark.parametrize(
    ("depth", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)]
)
def test_parameter_counts_are_the_published_ones(depth: int, count: int) -> None:
    with torch.device("meta"):
        network = ImageNetResNet(depth, 1000)
    assert sum(p.numel() for p in network.parameters()) == count
    assert len([m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]) == depth + (
        3 if depth < 50 else 4
    )  # the weighted layers and the projections


def reference(network: ImageNetResNet, images: Tensor, depth: int, shortcut: str, preact: bool, stem: str) -> Tensor:
    """The same network from its state dict, by loops and explicit formulas."""
    weights = network.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scaled = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
        found: Tensor = scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
        return found

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def padded(x: Tensor, channels: int, stride: int) -> Tensor:
        x = x[:, :, ::stride, ::stride]
        return torch.cat([x, x.new_zeros(len(x), channels - x.shape[1], *x.shape[2:])], dim=1)

    if stem == "imagenet":
        x = norm(conv(images, "stem.0", 2), "stem.1").clamp(min=0)
        x = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2).amax((4, 5))  # after a ReLU, zeros are no maximum
    else:
        x = norm(conv(images, "stem.0"), "stem.1").clamp(min=0)
    convolutions = 2 if depth < 50 else 3
    for stage, count in enumerate(PER_STAGE[depth], start=1):
        for block in range(count):
            b = f"blocks.stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            a, y = x, x
            for i in range(convolutions):
                # In a bottleneck the stride is the second convolution's.
                s = stride if i == convolutions - 2 else 1
                if preact:
                    first = stage == 1 and block == 0
                    if i > 0:
                        y = norm(y, f"{b}.residual.{3 * i - 2}").clamp(min=0)
                    elif not first:
                        a = y = norm(y, f"{b}.activation.0").clamp(min=0)
                    y = conv(y, f"{b}.residual.{3 * i}", s)
                else:
                    y = norm(conv(y, f"{b}.conv{i + 1}", s), f"{b}.bn{i + 1}")
                    y = y.clamp(min=0) if i < convolutions - 1 else y
            changes = y.shape != x.shape
            if shortcut == "C" or (shortcut == "B" and changes):
                side = conv(a, f"{b}.shortcut", stride) if preact else None
                side = norm(conv(x, f"{b}.shortcut.0", stride), f"{b}.shortcut.1") if side is None else side
            else:
                side = padded(x, y.shape[1], stride)
            x = y + side if preact else (y + side).clamp(min=0)
    x = norm(x, "final.0").clamp(min=0) if preact else x
    found: Tensor = x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]
    return found


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("preact", [False, True])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_forward_equals_an_independent_one(depth: int, shortcut: str, preact: bool, stem: str) -> None:
    name = f"{'preact' if preact else 'imagenet'}-resnet{depth}"
    options = ModelOptions(name=name, shortcut=shortcut, stem=stem, width=4)  # type: ignore[arg-type]
    network = build_model(options, classes=5, in_channels=3).double()
    assert isinstance(network, ImageNetResNet)
    initialise(network, 0)
    generator = torch.Generator().manual_seed(0)
    side = network.stride + 5  # odd: the rounding of sides is tried too
    images = torch.randn(4, 3, side, side + 4, generator=generator, dtype=torch.float64)
    network(images)  # moves the running statistics off their initial 0 and 1
    for parameter in network.parameters():  # and the norms' scales and shifts
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    network.eval()
    expected = reference(network, images, depth, shortcut, preact, stem)
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_the_stride_is_how_much_smaller_the_last_map_is(stem: str) -> None:
    network = ImageNetResNet(18, 2, width=2, stem=stem)  # type: ignore[arg-type]
    side = 2 * network.stride
    assert network.blocks(network.stem(torch.zeros(1, 3, side, side))).shape == (1, network.feature_size, 2, 2)
    check_image_size(network, network.stride, network.stride)
    with pytest.raises(InputError, match=f"at least {network.stride} pixels wide and high, got {network.stride - 1}x"):
        check_image_size(network, network.stride, network.stride - 1)


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize("depth", [18, 50])
def test_gradients_stay_channels_last(depth: int, shortcut: str, preactivation: bool) -> None:
    """Otherwise every stage's last ReLU and batch norm run several times slower."""
    # On processors with AVX2 alone torch 2.13 corrupts memory in a strided 1×1 convolution of 4 channels.
    network = ImageNetResNet(depth, 10, width=8, shortcut=shortcut, preactivation=preactivation)  # type: ignore[arg-type]
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layouts = []
    # The first: what the maximum's gradient goes into.
    for layer in [network.stem[2], *network.blocks]:
        layer.register_forward_hook(
            lambda module, _, out: (
                out.register_hook(lambda grad: layouts.append(grad.is_contiguous(memory_format=torch.channels_last)))
                and None
            )
        )
    images = torch.randn(2, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    network(images).sum().backward()
    assert layouts == [True] * (1 + sum(PER_STAGE[depth]))
    assert all(p.grad is not None for p in network.parameters())


def test_defaults_depend_on_the_network() -> None:
    with torch.device("meta"):
        cifar, photographs, preactivated = (
            build_model(ModelOptions(name=name), classes=10, in_channels=3)
            for name in ("resnet8", "imagenet-resnet18", "preact-resnet18")
        )
    assert isinstance(cifar, CifarResNet)
    assert (cifar.feature_size, cifar.stride, count(cifar, "shortcut")) == (64, 4, 0)
    assert (photographs.feature_size, photographs.stride, count(photographs, "shortcut")) == (512, 32, 9)
    # Projections without norms; the whole of a small image.
    assert (preactivated.feature_size, preactivated.stride, count(preactivated, "shortcut")) == (512, 8, 3)


def test_a_small_network_is_built_by_name() -> None:
    network = build_model(ModelOptions(name="small-cnn"), classes=3, in_channels=1)
    assert isinstance(network, SmallCnn)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    assert network.conv1.out_channels == 32


def count(network: torch.nn.Module, part: str) -> int:
    return sum(part in name for name, _ in network.named_parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "imagenet-resnet20"}, "one of 18, 34, 50, 101, 152, got 20. Did you mean 18?"),
        ({"name": "preact-resnet110"}, "one of 18, 34, 50, 101, 152, got 110. Did you mean 101?"),
        ({"name": "imagnet-resnet50"}, 'unknown model "imagnet-resnet50". Did you mean "imagenet-resnet50"?'),
        ({"name": "preact_resnet18"}, 'Did you mean "preact-resnet18"?'),
        ({"name": "cifar-resnet18"}, '6n+2, got 18. Did you mean "resnet18", ImageNet\'s, or "preact-resnet18"?'),
        (
            {"name": "imagenet-resnet18", "batch_norm": "after"},
            "imagenet-resnet18 has no option model.batch_norm, got after",
        ),
        ({"name": "preact-resnet18", "last_relu": False}, "preact-resnet18 has no option model.last_relu, got False"),
        ({"name": "resnet20", "stem": "small"}, "resnet20 has no option model.stem, got small"),
        ({"name": "small-cnn", "shortcut": "A"}, "small-cnn has no option model.shortcut, got A"),
        ({"name": "small-cnn", "width": 0}, "model.width must be at least 1, got 0."),
        ({"name": "imagenet-resnet18", "width": 0}, "model.width must be at least 1, got 0."),
        ({"name": "imagenet-resnet18", "shortcut": "b"}, 'unknown shortcut "b"'),
        ({"name": "imagenet-resnet18", "stem": "smal"}, 'unknown stem "smal". Did you mean "small"?'),
    ],
)
def test_bad_options_are_told(options: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=re.escape(message)):
        build_model(ModelOptions(**options), classes=2, in_channels=1)  # type: ignore[arg-type]
