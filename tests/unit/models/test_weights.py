"""Published names are written out here by hand, and their tensors put through a network written after torchvision's."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import InputError
from truelift.models import CifarResNet, ImageNetResNet, load_published, load_weights, save_weights

PER_STAGE = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}


def published_shapes(depth: int, classes: int = 1000) -> dict[str, tuple[int, ...]]:
    """Every name and shape of torchvision's state dict, in its order."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    before = 64
    for layer, (blocks, planes) in enumerate(zip(PER_STAGE[depth], (64, 128, 256, 512), strict=True), start=1):
        for i in range(blocks):
            name = f"layer{layer}.{i}"
            if depth < 50:
                convolutions = [(planes, before, 3), (planes, planes, 3)]
            else:
                convolutions = [(planes, before, 1), (planes, planes, 3), (4 * planes, planes, 1)]
            for j, (out, into, kernel) in enumerate(convolutions, start=1):
                shapes[f"{name}.conv{j}.weight"] = (out, into, kernel, kernel)
                norm(f"{name}.bn{j}", out)
            out = convolutions[-1][0]
            if i == 0 and (layer > 1 or before != out):
                shapes[f"{name}.downsample.0.weight"] = (out, before, 1, 1)
                norm(f"{name}.downsample.1", out)
            before = out
    shapes["fc.weight"] = (classes, before)
    shapes["fc.bias"] = (classes,)
    return shapes


def published_tensors(depth: int, classes: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in published_shapes(depth, classes).items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
        elif len(shape) == 1:
            tensors[name] = 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
        else:
            fan_in = torch.Size(shape[1:]).numel()
            tensors[name] = torch.randn(shape, generator=generator, dtype=torch.float64) / fan_in**0.5
    return tensors


def published_forward(t: dict[str, Tensor], depth: int, images: Tensor) -> Tensor:
    def conv_norm(x: Tensor, conv: str, norm: str, stride: int) -> Tensor:
        kernel = t[f"{conv}.weight"]
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        return F.batch_norm(
            x, t[f"{norm}.running_mean"], t[f"{norm}.running_var"], t[f"{norm}.weight"], t[f"{norm}.bias"]
        )

    x = F.max_pool2d(conv_norm(images, "conv1", "bn1", 2).relu(), 3, 2, 1)
    for layer, blocks in enumerate(PER_STAGE[depth], start=1):
        for i in range(blocks):
            name, stride = f"layer{layer}.{i}", 2 if layer > 1 and i == 0 else 1
            side = x
            if f"{name}.downsample.0.weight" in t:
                side = conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            if depth < 50:
                x = conv_norm(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
                x = conv_norm(x, f"{name}.conv2", f"{name}.bn2", 1)
            else:
                x = conv_norm(x, f"{name}.conv1", f"{name}.bn1", 1).relu()
                x = conv_norm(x, f"{name}.conv2", f"{name}.bn2", stride).relu()
                x = conv_norm(x, f"{name}.conv3", f"{name}.bn3", 1)
            x = (x + side).relu()
    return F.linear(x.mean((2, 3)), t["fc.weight"], t["fc.bias"])


@pytest.mark.parametrize("depth", [18, 50])
def test_published_weights_give_the_published_networks_output(depth: int) -> None:
    tensors = published_tensors(depth, classes=6)
    network = ImageNetResNet(depth, 6).double().eval()
    load_published(network, tensors)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = published_forward(tensors, depth, images)
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)
    assert network.get_buffer("stem.1.num_batches_tracked") == 7


@pytest.mark.parametrize(
    ("depth", "tensors"), [(18, 122), (34, 218), (50, 320), (101, 626), (152, 932)]
)  # as many as torchvision's have
def test_every_published_depth_fits(depth: int, tensors: int) -> None:
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in published_shapes(depth).items()}
        assert len(state) == tensors
        load_published(ImageNetResNet(depth, 1000), state)


def test_older_files_lack_the_counters() -> None:
    with torch.device("meta"):
        shapes = published_shapes(18).items()
        state = {name: torch.empty(shape) for name, shape in shapes if not name.endswith("num_batches_tracked")}
        load_published(ImageNetResNet(18, 1000), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer2.0.downsample.0.weight": (128, 64, 3, 3)}, r'shape of "layer2.0.downsample.0.weight" is \(128, 64, 3'),
        ({"fc.weight": (100, 512)}, r'shape of "fc.weight" is \(100, 512\), the network\'s \(1000, 512\)'),
        ({"fc.weight": (512, 1000)}, r'shape of "fc.weight" is \(512, 1000'),  # transposed
        ({"layer4.1.bn2.running_var": None}, 'lacks "layer4.1.bn2.running_var"'),
        ({"conv1.weight": None}, 'lacks "conv1.weight"'),
        ({"layer1.0.conv3.weight": (1,)}, 'has "layer1.0.conv3.weight", which the network lacks'),
        ({"stem.0.weight": (64, 3, 7, 7)}, 'has "stem.0.weight", which the network lacks'),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(
    change: dict[str, tuple[int, ...] | None], message: str
) -> None:
    shapes = published_shapes(18) | change
    state = {name: torch.full(shape, 3.0) for name, shape in shapes.items() if shape is not None}
    network = ImageNetResNet(18, 1000)
    with pytest.raises(InputError, match=message):
        load_published(network, state)
    assert not any((p == 3).any() for p in network.parameters())


@pytest.mark.parametrize(
    ("option", "value"),
    [("shortcut", "A"), ("shortcut", "C"), ("stem", "small"), ("width", 32), ("preactivation", True)],
)
def test_only_the_published_kind_of_network_is_loaded(option: str, value: object) -> None:
    with torch.device("meta"):
        network = ImageNetResNet(18, 1000, **{option: value})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"for {option} = .*, the network's is {value!r}"):
            load_published(network, {})


def test_weights_come_back_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    saved = ImageNetResNet(50, 10, width=4, shortcut="C", preactivation=True)
    saved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    saved(torch.randn(2, 3, 64, 64))
    save_weights(saved, path)
    assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]
    read = ImageNetResNet(50, 10, width=4, shortcut="C", preactivation=True)
    load_weights(read, path)
    assert read.state_dict().keys() == saved.state_dict().keys()
    for name, tensor in saved.state_dict().items():
        assert torch.equal(tensor, read.state_dict()[name]), name
    save_weights(CifarResNet(8, 10), path)  # over the old one
    load_weights(CifarResNet(8, 10), path)


def test_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    network = CifarResNet(8, 10)
    with pytest.raises(InputError, match=r"no file of weights .*weights\.safetensors"):
        load_weights(network, path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_weights(network, path)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_weights(network, tmp_path)
    save_weights(CifarResNet(8, 11), path)
    with pytest.raises(InputError, match=r'the shape of "head\.(weight|bias)" is \(11'):
        load_weights(network, path)
