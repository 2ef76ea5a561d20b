"""A user's own network: its features and head, what is left untouched, and what is refused."""

import copy
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.models import Adapted, ModelOptions, Whole, adapt, build_model, check_model, initialise
from truelift.models.example import example_images, untouched
from truelift.models.find_head import find_head
from truelift.models.weights import save_weights

from . import own_networks as own

FILE = str(Path(own.__file__))
SIZE = 16


def build(name: str, classes: int = 5, in_channels: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    model = ModelOptions(name=f"{FILE}:{name}", **options)
    return build_model(model, classes=classes, in_channels=in_channels, image_size=SIZE)


def plain(name: str, **arguments: Any) -> Any:
    torch.manual_seed(0)
    made: nn.Module = getattr(own, name)(**arguments)
    return made


HEADS = [
    ("Named", {"classes": 5, "in_channels": 3}, "fc", 8),
    ("wide", {"classes": 5, "in_channels": 3}, "fc", 16),
    ("Sequence", {"num_classes": 5}, "classifier.3", 5),
    ("Transformer", {"num_classes": 5, "image_size": SIZE}, "heads.head", 8),
    ("Timm", {"num_classes": 5, "in_chans": 3}, "classifier", 8),
    ("Tokens", {"classes": 5}, "score", 8),
]


@pytest.mark.parametrize(("name", "arguments", "head", "size"), HEADS)
def test_the_head_is_found(name: str, arguments: dict[str, Any], head: str, size: int) -> None:
    assert find_head(plain(name, **arguments), example_images(3, (SIZE, SIZE))) == head
    network, theirs = build(name).eval(), plain(name, **arguments).eval()
    assert isinstance(network, Adapted)
    assert network.feature_size == size
    images = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(images), theirs(images))
    features = network.features(images)
    assert features.shape == (4, size)
    assert torch.equal(network(images), network.head(features))
    if name == "Named":  # what entered the layer
        entered: list[Tensor] = []
        theirs.fc.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
        theirs(images)
        assert torch.equal(features, entered[0])


@pytest.mark.parametrize(("name", "arguments", "head", "size"), HEADS)
def test_every_parameter_is_there_once(name: str, arguments: dict[str, Any], head: str, size: int) -> None:
    network = build(name)
    theirs = [p.shape for p in plain(name, **arguments).parameters()]
    assert sorted(p.shape for p in network.parameters()) == sorted(theirs)
    assert len(network.state_dict()) == len(plain(name, **arguments).state_dict())
    assert not hasattr(network, "layers")


def test_another_head_can_be_put_in() -> None:
    network = build("Named")
    trunk = copy.deepcopy(network.trunk.state_dict())
    network.head = nn.Linear(network.feature_size, 2)
    initialise(network, 7)
    drawn = network.head.weight.clone()
    initialise(network, 7)
    assert torch.equal(network.head.weight, drawn)
    initialise(network, 8)
    assert not torch.equal(network.head.weight, drawn)
    assert network.eval()(torch.zeros(2, 3, SIZE, SIZE)).shape == (2, 2)
    for key, tensor in network.trunk.state_dict().items():
        assert torch.equal(tensor, trunk[key])


def test_initialise_leaves_its_weights_also_in_a_copy() -> None:
    for network in (build("Transformer"), copy.deepcopy(build("Transformer"))):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        initialise(network, 3)
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", ["Named", "Sequence", "Transformer", "Convolutional"])
def test_trying_out_leaves_no_trace(name: str) -> None:
    """Statistics, modes and the random number generator: with dropout and batch norm."""
    arguments = dict(next((a for n, a, _, _ in HEADS if n == name), {"classes": 5}))
    network = plain(name, **arguments)
    if name == "Named":
        network.bn.eval()
    modes = {key: module.training for key, module in network.named_modules()}
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    find_head(network, example_images(3, (SIZE, SIZE)))
    assert {key: module.training for key, module in network.named_modules()} == modes
    made = adapt(network, "m", classes=5, in_channels=3, image_size=(SIZE, SIZE))
    assert torch.equal(torch.get_rng_state(), state)
    after = list(made.state_dict().values())
    assert len(after) == len(before)
    assert all(any(torch.equal(one, other) for other in after) for one in before.values())
    assert all(p.grad is None for p in made.parameters())


def test_statistics_are_put_back_also_after_an_error() -> None:
    network = plain("Named")
    with pytest.raises(RuntimeError), untouched(network, training=True):  # noqa: PT012
        network(torch.randn(2, 3, SIZE, SIZE))
        raise RuntimeError
    assert torch.equal(network.bn.running_mean, torch.zeros(8))
    assert network.bn.num_batches_tracked == 0


@pytest.mark.parametrize("name", ["LogSoftmax", "Convolutional", "Perceptron"])
def test_without_a_linear_head_it_still_gives_logits(name: str) -> None:
    network = build(name)
    assert isinstance(network, Whole)
    logits = network(torch.randn(2, 3, SIZE, SIZE))
    logits.sum().backward()
    assert logits.shape == (2, 5)
    for ask in (lambda: network.features(torch.zeros(2, 3, SIZE, SIZE)), lambda: network.feature_size):
        with pytest.raises(InputError, match=r'own_networks.py:\w+" has no linear head .* Name its head by model.head'):
            ask()


def test_a_named_head() -> None:
    network = build("Perceptron", head="mlp")
    assert isinstance(network, Adapted)
    assert network.feature_size == 8
    images = torch.randn(3, 3, SIZE, SIZE)
    torch.testing.assert_close(network(images), plain("Perceptron", classes=5)(images))
    for name, message in (
        ("mpl", 'model.head must be the name of a module of the network, got "mpl". Did you mean "mlp"?'),
        ("mlp.1", "model.head must be a module that makes the logits"),
        ("conv", 'model.head "conv" is no head of model'),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            build("Perceptron", head=name)


def test_a_classifier_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text(
        "from truelift.models import CifarResNet\n"
        "def small(classes, in_channels):\n    return CifarResNet(8, classes, in_channels=in_channels, width=4)\n"
    )
    network = build_model(ModelOptions(name=f"{file}:small"), classes=5, in_channels=1, image_size=8)
    assert len(network.layers()) == 5  # type: ignore[operator]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    initialise(network, 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_args_go_before_what_is_offered() -> None:
    assert build("wide", args={"width": 3}).feature_size == 3


def test_weights_of_ones_own(tmp_path: Path) -> None:
    torch.manual_seed(5)
    trained = own.Named(5)
    save_weights(trained, tmp_path / "w.safetensors")
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    images = torch.randn(2, 3, SIZE, SIZE)
    for file in ("w.safetensors", "w.pt"):
        network = build("Named", weights=str(tmp_path / file))
        initialise(network, 0)
        assert torch.equal(network.eval()(images), trained.eval()(images))
    # For other classes: the trunk is read, the head drawn anew by `initialise`.
    drawn = []
    for seed in (0, 0, 1):
        other = build("Named", classes=3, weights=str(tmp_path / "w.pt"))
        initialise(other, seed)
        drawn.append(other.head.weight.clone())
        assert torch.equal(other.trunk.conv.weight, trained.conv.weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    with pytest.raises(InputError, match=r'does not fit the network: the shape of "conv\.weight"'):
        build("Named", args={"width": 4}, weights=str(tmp_path / "w.pt"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("maps", "must give logits (2, 5) of 2 images in training mode, got the shape (2, 5, 16, 16)."),
        ("fewer", "must give logits (2, 5) of 2 images in training mode, got the shape (2, 4)."),
        ("integers", "floating-point numbers, got torch.int64."),
        ("Auxiliary", "in training mode, a tensor, got SimpleNamespace."),
        ("raising", "given images of 3x16x16 in training mode, raised RuntimeError: no memory (own_networks.py, line "),
        ("exiting", "in training mode, raised SystemExit: 3 (own_networks.py, line "),
        ("no_network", "must give a torch.nn.Module, got str."),
    ],
)
def test_no_logits(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        build(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": f"{FILE}:Namde"}, 'has no "Namde". Did you mean "Named"?'),
        ({"name": "nowhere.nets:Net"}, "there is no module nowhere.nets"),
        ({"name": f"{FILE}:not_callable"}, "must name something that can be called, got int."),
        ({"name": f"{FILE}:Named", "args": {"widht": 3}}, 'takes no args.widht. Did you mean "width"?'),
        ({"name": f"{FILE}:Named", "shortcut": "A"}, "has no option model.shortcut, got A"),
        ({"name": f"{FILE}:Named", "recompute": True}, "has no option model.recompute, got True"),
        ({"name": f"{FILE}:Named", "stochastic_depth": 0.5}, "has no option model.stochastic_depth, got 0.5"),
        ({"name": f"{FILE}:Named", "weights": "published"}, "model.weights must be a file for"),
        ({"name": f"{FILE}:Named", "weights": "no.pt"}, 'model.weights must be "published" or a file that exists, got'),
        ({"name": "resnet20", "args": {"a": 1}}, "resnet20 has no option model.args, got {'a': 1}"),
        ({"name": "resnet20", "head": "fc"}, "resnet20 has no option model.head, got fc"),
    ],
)
def test_bad_input_is_told_before_anything_is_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        check_model(ModelOptions(**options))


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_there(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else find(name))
    message = f'model "{library}:resnet18" needs the package {library}, which is not installed: pip install {library}'
    with pytest.raises(InputError, match=message):
        check_model(ModelOptions(name=f"{library}:resnet18"))


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@pytest.mark.parametrize("name", ["resnet18", "vit"])
def test_real_ones(library: str, name: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if name == "vit":
        name = "vit_tiny_patch16_224" if library == "timm" else "vit_b_16"
    with pytest.raises(InputError, match=f'Did you mean "{library}:'):
        check_model(ModelOptions(name=f"{library}:{name}x"))
    network = build_model(ModelOptions(name=f"{library}:{name}"), classes=7, in_channels=3, image_size=32)
    assert isinstance(network, Adapted)
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, network.feature_size)
