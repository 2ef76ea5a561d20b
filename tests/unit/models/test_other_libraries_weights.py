"""timm's and torchvision's networks with trained weights: from files in the form in which they publish them."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.models import Adapted, ModelOptions, build_model, initialise

SIDE, CLASSES = 32, 4
SMALL_VIT = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64}
NETWORKS = [
    ("timm:resnet18", {}, "safetensors"),
    ("timm:convnext_atto", {}, "bin"),
    ("timm:vit_tiny_patch16_224", {"img_size": SIDE}, "safetensors"),
    ("torchvision:resnet18", {}, "pth"),
    ("torchvision:efficientnet_b0", {}, "pth"),
    ("torchvision.models:VisionTransformer", {"image_size": SIDE, **SMALL_VIT}, "safetensors"),
]


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # beside a torch that it was not built for it raises anything
        pytest.skip(f"{name} cannot be imported here: {error}")


def theirs(name: str, classes: int, **args: Any) -> nn.Module:
    """The library's own network, as its users make it, with weights and statistics that are not the initial ones."""
    source, _, short = name.partition(":")
    made = library(source.partition(".")[0])
    torch.manual_seed(0)
    network: nn.Module
    if source == "timm":
        network = made.create_model(short, num_classes=classes, **args)
    elif source == "torchvision.models":
        network = getattr(made.models, short)(num_classes=classes, **args)
    else:
        network = made.models.get_model(short, num_classes=classes, **args)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(1 + 0.1 * torch.rand_like(tensor)).add_(0.01 * torch.rand_like(tensor))
    return network.eval()


def save(network: nn.Module, path: Path) -> Path:
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


def build(name: str, classes: int, **options: Any) -> Adapted:
    torch.manual_seed(1)
    network = build_model(ModelOptions(name=name, **options), classes=classes, in_channels=3, image_size=SIDE)
    assert isinstance(network, Adapted)
    return network


def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


def head_of(name: str, network: nn.Module) -> nn.Module:
    """By the library's own convention, not by truelift's search."""
    if name.startswith("timm"):
        found: nn.Module = network.get_classifier()  # type: ignore[operator]
        return found
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert last.out_features in (CLASSES, 10, 1000)
    return last


@pytest.mark.parametrize(
    ("name", "args", "suffix"), NETWORKS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_file_of_the_librarys_own(name: str, args: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    trained = theirs(name, 10, **args)
    path = save(trained, tmp_path / f"weights.{suffix}")
    network = build(name, 10, args=args, weights=str(path))
    initialise(network, 0)
    torch.testing.assert_close(network.eval()(images()), trained(images()))

    # For other classes: everything but the head, which is drawn anew.
    fewer = build(name, CLASSES, args=args, weights=str(path))
    initialise(fewer, 0)
    entered: list[Tensor] = []
    head_of(name, trained).register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    trained(images())
    torch.testing.assert_close(fewer.eval().features(images()), entered[0])
    assert fewer(images()).shape == (2, CLASSES)


def test_timms_pretrained_weights(tmp_path: Path) -> None:
    trained = theirs("timm:resnet18", 1000)
    path = save(trained, tmp_path / "model.safetensors")
    args = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
    network = build("timm:resnet18", CLASSES, args=args)
    initialise(network, 0)
    features = trained.forward_head(trained.forward_features(images()), pre_logits=True)  # type: ignore[operator]
    torch.testing.assert_close(network.eval().features(images()), features)
    assert network(images()).shape == (2, CLASSES)


def test_torchvisions_pretrained_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = theirs("torchvision:resnet18", 1000)
    url = library("torchvision").models.get_model_weights("resnet18").DEFAULT.url
    (folder := tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    save(trained, folder / Path(url).name)  # where a download would have put it
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = build("torchvision:resnet18", 1000, args={"weights": "DEFAULT"})
    initialise(network, 0)
    torch.testing.assert_close(network.eval()(images()), trained(images()))
    fewer = build("torchvision:resnet18", CLASSES, args={"weights": "DEFAULT"})
    initialise(fewer, 0)
    assert torch.equal(fewer.eval().features(images()), network.features(images()))
    assert fewer(images()).shape == (2, CLASSES)


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("timm:resnet18", "timm:resnet26", "does not fit the network: "),
        ("timm:resnet18", "torchvision:resnet34", 'does not fit the network: it has "layer1.2.'),
        ("torchvision:resnet18", "torchvision:mobilenet_v3_small", 'does not fit the network: it has "'),
        ("timm:convnext_atto", "timm:convnext_femto", "does not fit the network: the shape of"),
        # The position embedding of larger images: timm's `pretrained` makes it smaller, a file is taken as it is.
        ("timm:vit_tiny_patch16_224", "timm:vit_tiny_patch16_224", 'the shape of "pos_embed" is (1, 197, 192)'),
    ],
)
def test_a_file_that_does_not_fit(name: str, other: str, message: str, tmp_path: Path) -> None:
    path = save(theirs(other, CLASSES), tmp_path / "weights.safetensors")
    library(name.partition(":")[0])
    with pytest.raises(InputError) as caught:
        build(name, CLASSES, weights=str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torchvisions_own_weights_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    library("torchvision")
    with pytest.raises(InputError, match="image_size") as caught:
        build("torchvision:vit_b_32", CLASSES, args={"weights": "DEFAULT"})
    assert "\n" not in str(caught.value)
