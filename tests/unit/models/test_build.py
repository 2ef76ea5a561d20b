"""Names, options and weights to start from: what is built, and what is refused before anything is."""

import dataclasses
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from truelift.errors import InputError
from truelift.models import (
    CifarResNet,
    ImageNetResNet,
    ModelOptions,
    build_model,
    canonical,
    check_model,
    initialise,
    save_weights,
)
from truelift.models.build import FAMILIES, MODIFIERS
from truelift.models.published import published_name
from truelift.options import operational

EXAMPLES = [example for family in FAMILIES for example in family.examples]


def build(name: str, classes: int = 5, **options: object) -> Any:
    model = ModelOptions(name=name, **options)  # type: ignore[arg-type]
    return build_model(model, classes=classes, in_channels=3)


def published_file(path: Path, classes: int = 1000) -> ImageNetResNet:
    """A state dict with torchvision's names, and the network that it is of."""
    network = ImageNetResNet(18, classes)
    initialise(network, 11)
    torch.save({published_name(name): tensor for name, tensor in network.state_dict().items()}, path)
    return network


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_of_one_family_and_is_built(name: str) -> None:
    assert sum(family.numbers(name) is not None for family in FAMILIES) == 1
    check_model(ModelOptions(name=name))
    with torch.device("meta"):
        network = build(name)
    family = next(family for family in FAMILIES if family.numbers(name) is not None)
    blocks = getattr(network, "blocks", None)
    assert isinstance(blocks, nn.Sequential) == ("blocks" in family.traits)
    ends = [hasattr(block, "branch_end") for block in blocks or ()]
    assert (bool(ends) and all(ends)) == ("residual" in family.traits)
    layers = network.layers()
    held = [id(parameter) for layer in layers for parameter in layer.parameters()]
    assert sorted(held) == sorted(map(id, network.parameters()))
    assert [layer for layer in layers if layer in list(blocks or ())] == list(blocks or ())
    assert network.head in layers[-1].modules()


def test_the_options_and_their_defaults() -> None:
    defaults = {field.name: getattr(ModelOptions(), field.name) for field in dataclasses.fields(ModelOptions)}
    assert defaults == {
        "name": "resnet20",
        "args": {},
        "head": None,
        "weights": None,
        "shortcut": None,
        "batch_norm": "before",
        "last_relu": True,
        "width": None,
        "whitening": True,
        "first_kernel": 2,
        "identity_start": True,
        "activation": "gelu",
        "stem": None,
        "recompute": False,
        "stochastic_depth": 0.0,
    }
    assert operational(ModelOptions) == {"recompute"}
    assert all(modifier.option in defaults for modifier in MODIFIERS)
    assert all(family.option_names <= defaults.keys() for family in FAMILIES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "nonsense"}, 'unknown model "nonsense".'),
        ({"name": "resnte20"}, 'Did you mean "resnet20"?'),
        ({"name": "resnet1000000000"}, "depth must be at most 10000, got 1000000000"),
        ({"name": "resnet" + "9" * 5000}, "unknown model"),
        ({"name": "densenet1000000000"}, "depth must be at most 10000, got 1000000000"),
        ({"name": "wrn-1000000000-1"}, "depth must be at most 10000, got 1000000000"),
        ({"name": "wrn-28-1000000000"}, "factor must be at most 256, got 1000000000"),
        ({"name": "wrn-28-0"}, "factor must be at least 1, got 0"),
        ({"name": "vgg12"}, "must be 11, 13, 16 or 19, got 12"),
        ({"name": "cifar-resnet18"}, 'Did you mean "resnet18", ImageNet\'s, or "preact-resnet18"?'),
        ({"name": "resnet51"}, "a CIFAR residual network's depth must be 6n+2, got 51. Did you mean 50?"),
        ({"width": 1_000_000_000}, "model.width must be at most 8192, got 1000000000."),
        ({"width": 0}, "model.width must be at least 1, got 0"),
        ({"shortcut": "D"}, 'unknown shortcut "D"'),
        ({"name": "wrn-16-4", "width": 8}, "wrn-16-4 has no option model.width, got 8"),
        ({"name": "small-cnn", "recompute": True}, "small-cnn has no option model.recompute, got True"),
        ({"weights": "published"}, "published are those of imagenet-resnet18, 34, 50, 101 and 152"),
        ({"name": "preact-resnet18", "weights": "published"}, "model.weights must be a file for preact-resnet18"),
        ({"weights": "/no/such.pt"}, 'model.weights must be "published" or a file that exists, got "/no/such.pt".'),
    ],
)
def test_what_is_refused(
    options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a single module is made."""
    monkeypatch.setattr(nn.Module, "__init__", lambda self: pytest.fail("something was built"))
    with pytest.raises(InputError, match=re.escape(message)):
        check_model(ModelOptions(**options))  # type: ignore[arg-type]


def test_a_deep_name_of_any_length_is_told_on_one_line() -> None:
    with pytest.raises(InputError) as caught:
        check_model(ModelOptions(name="imagenet-resnet51"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("recompute", [False, True])
def test_its_own_weights(recompute: bool, tmp_path: Path) -> None:
    trained = build("resnet14", width=4)
    initialise(trained, 3)
    path = tmp_path / "weights.safetensors"
    save_weights(trained, path)
    network = build("resnet14", width=4, weights=str(path), recompute=recompute)
    initialise(network, 0)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in trained.state_dict().items())
    fewer = build("resnet14", width=4, weights=str(path), classes=3)
    initialise(fewer, 0)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(fewer.state_dict()[name], tensor) == (not name.startswith("head.")), name
    fresh = build("resnet14", width=4, classes=3)
    initialise(fresh, 0)
    assert torch.equal(fewer.head.weight, fresh.head.weight)
    with pytest.raises(InputError, match="does not fit the network"):
        build("resnet8", width=4, weights=str(path))


def test_weights_with_the_names_of_others(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    trained = published_file(path)
    network = build("imagenet-resnet18", classes=7, weights=str(path))
    initialise(network, 0)
    for name, tensor in trained.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor) == (not name.startswith("head.")), name
    same = build("imagenet-resnet18", classes=1000, weights=str(path))
    initialise(same, 0)
    assert torch.equal(same.head.weight, trained.state_dict()["head.weight"])
    with pytest.raises(InputError, match="published weights are for stem = 'imagenet', the network's is 'small'"):
        build("imagenet-resnet18", stem="small", weights=str(path))


def test_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for torchvision."""
    trained = published_file(tmp_path / "w.pth")
    asked = []

    def get_model_weights(name: str) -> SimpleNamespace:
        asked.append(name)
        newest = SimpleNamespace(get_state_dict=lambda **_: torch.load(tmp_path / "w.pth", weights_only=True))
        return SimpleNamespace(DEFAULT=newest)

    standin = SimpleNamespace(models=SimpleNamespace(get_model_weights=get_model_weights))
    monkeypatch.setitem(sys.modules, "torchvision", standin)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    network = build("imagenet-resnet18", classes=2, weights="published")
    assert asked == ["resnet18"]
    assert torch.equal(network.state_dict()["stem.0.weight"], trained.state_dict()["stem.0.weight"])
    standin.models.get_model_weights = None
    with pytest.raises(InputError, match=r'"published" cannot be had: torchvision raised TypeError'):
        build("imagenet-resnet18", classes=2, weights="published")


def test_a_damaged_file(tmp_path: Path) -> None:
    for name, content in (("a.pt", b"no zip"), ("b.safetensors", b"no"), ("c.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as") as caught:
            build("resnet8", weights=str(tmp_path / name))
        assert "\n" not in str(caught.value)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="must hold a state dict, tensors by name"):
        build("resnet8", weights=str(tmp_path / "list.pt"))


@pytest.mark.parametrize(
    ("name", "canonical_name"),
    [
        ("resnet18", "imagenet-resnet18"),
        ("resnet50", "imagenet-resnet50"),
        ("resnet152", "imagenet-resnet152"),
        ("imagenet-resnet34", "imagenet-resnet34"),
        ("cifar-resnet50", "cifar-resnet50"),
        ("cifar-resnet152", "cifar-resnet152"),
        ("cifar-resnet20", "resnet20"),
        ("resnet56", "resnet56"),
        ("preact-resnet18", "preact-resnet18"),
        ("timm:resnet18", "timm:resnet18"),
        ("cifar-vgg16", "cifar-vgg16"),
    ],
)
def test_the_names_people_use(name: str, canonical_name: str) -> None:
    assert canonical(name) == canonical(canonical_name) == canonical_name


def test_resnet50_is_imagenets() -> None:
    """Its published number of weights; CIFAR's of that depth has 48 convolutions in three stages of 16 channels."""
    with torch.device("meta"):
        photographs = build_model(ModelOptions(name="resnet50"), classes=1000, in_channels=3)
        small = build_model(ModelOptions(name="cifar-resnet50"), classes=10, in_channels=3)
    assert sum(p.numel() for p in photographs.parameters()) == 25_557_032
    assert isinstance(small, CifarResNet)
    assert len(small.blocks) == 24
