"""The layers of any network from one pass: every parameter in one layer, in order of first use, nothing left behind."""

import itertools
import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.freezeout.discovery_cases import NETWORKS, Branching, Residual, VisionTransformer
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut, counted_costs, find_layers, saving, timed_costs
from truelift.techniques.freezeout.adaptive import SignalName

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def names(network: nn.Module, example: Any = IMAGES) -> list[list[str]]:
    """Of each layer the names of its modules, and of parameters that belong to none of them."""
    modules = {id(module): name for name, module in network.named_modules()}
    parameters = {id(p): name for name, p in network.named_parameters()}
    found = find_layers(network, example=example)
    owned = [id(p) for layer in found for p in layer.parameters]
    assert sorted(owned) == sorted(parameters)  # each in exactly one
    inside = [id(inner) for layer in found for module in layer for inner in module.modules()]
    assert len(inside) == len(set(inside))
    named = []
    for layer in found:
        held = {id(p) for module in layer for p in module.parameters()}
        loose = [parameters[id(p)] for p in layer.parameters if id(p) not in held]
        named.append([*(modules[id(module)] for module in layer), *loose])
    return named


def test_a_residual_network() -> None:
    assert names(Residual()) == [["stem", "norm", "relu"], ["blocks.0"], ["blocks.1"], ["blocks.2"], ["head"]]


def test_a_vision_transformer() -> None:
    assert names(VisionTransformer()) == [
        ["patches", "token", "positions"],
        ["encoder.blocks.0"],
        ["encoder.blocks.1"],
        ["encoder.blocks.2", "encoder.norm"],
        ["head"],
    ]


def test_branches_follow_each_other_by_first_use() -> None:
    assert names(Branching()) == [["stem"], ["left"], ["right"], ["head"]]


class Parts(nn.Module):
    """Calls its parts as it is told to."""

    def __init__(self, forward: Any, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.told = forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.told(self, *args, **kwargs)


def linears(count: int) -> dict[str, nn.Module]:
    return {name: nn.Linear(4, 4) for name in "abcdef"[:count]}


X = torch.randn(3, 4)


def test_order_is_that_of_use_not_of_definition() -> None:
    assert names(Parts(lambda self, x: self.a(self.c(self.b(x))), **linears(3)), X) == [["b"], ["c"], ["a"]]


def test_a_module_that_is_used_again_stands_where_it_is_first_used() -> None:
    network = Parts(lambda self, x: self.c(self.b(self.a(self.b(self.a(x))))), **linears(3))
    assert names(network, X) == [["a"], ["b"], ["c"]]


def test_what_a_later_layer_has_too_freezes_with_it() -> None:
    network: Any = Parts(lambda self, x: self.c(self.b(self.a(x))), **linears(3))
    network.c.weight = network.a.weight
    found = find_layers(network, example=X)
    assert [{id(p) for p in layer.parameters} for layer in found] == [
        {id(network.a.bias)},
        {id(network.b.weight), id(network.b.bias)},
        {id(network.c.weight), id(network.c.bias)},
    ]
    # The same by a function: the head's weight is the embedding's.
    tied: Any = Parts(lambda self, x: F.linear(self.b(self.a(x)), self.a.weight), **linears(2))
    found = find_layers(tied, example=X)
    assert [layer.parameters[-1] is tied.a.weight for layer in found] == [False, False, True]


def test_parameters_without_a_module() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Parameter(torch.randn(4, 2))
            self.first = nn.Parameter(torch.randn(4, 4))
            self.shift = nn.Parameter(torch.randn(4))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.first + self.shift).relu() @ self.last

    assert names(Raw(), X) == [["first", "shift"], ["last"]]


def test_what_the_pass_does_not_use_goes_last() -> None:
    network = Parts(lambda self, x: self.b(self.a(x)), **linears(3))
    assert names(network, X) == [["a"], ["b", "c.weight", "c.bias"]]


def test_a_wrapped_block_is_opened_where_there_is_nothing_else() -> None:
    block = Parts(lambda self, x: x + self.b(self.a(x).relu()), **linears(2))
    assert names(Parts(lambda self, x: self.block(x), block=block), X) == [["block.a"], ["block.b"]]


def test_arguments_in_tuples_and_dictionaries() -> None:
    def forward(self: Any, x: Tensor, *, shift: Tensor) -> dict[str, Any]:
        return {"out": (self.b(self.a(x) + shift),)}

    network = Parts(forward, **linears(2))
    assert names(network, {"x": X, "shift": X}) == [["a"], ["b"]]
    two = Parts(lambda self, x, y: self.b(self.a(x)) + y, **linears(2))
    assert names(two, (X, X)) == [["a"], ["b"]]


def test_an_example_does_not_replace_what_a_network_tells() -> None:
    network = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.Linear(4, 4))
    assert find_layers(network, example=X) == find_layers(network)
    assert len(find_layers(nn.Sequential(network, nn.ReLU()), example=X)) == 3


def test_a_submodule_called_layers_is_no_method() -> None:
    network = Parts(lambda self, x: self.layers(x), layers=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    assert names(network, X) == [["layers.0"], ["layers.1"]]


@pytest.mark.parametrize(
    ("network", "example", "message"),
    [
        (nn.Linear(4, 4), X, "network must have at least two layers that are used one after the other, got 1 in a Lin"),
        (nn.ReLU(), X, "network must use parameters of its own on the example, got none in a ReLU"),
        (Parts(lambda self, x: x, **linears(2)), X, "network must use parameters of its own"),
        (Parts(lambda self, x: self.b(self.a(x)), **linears(2)), X[:, :3], "example must be what the network takes"),
        (Parts(lambda self, x: self.b(self.a(x)), **linears(2)), [X], "example must be a tensor, a tuple or a dict"),
    ],
)
def test_what_cannot_be_found_is_refused(network: nn.Module, example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_layers(network, example=example)


class Restless(nn.Module):
    """Counts, draws, keeps and moves a buffer and a parameter in its forward pass, whatever its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()
        self.last = nn.Linear(4, 2)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(()))
        self.calls = 0
        self.kept: list[Tensor] = []
        self.norm.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.kept.append(x)
        self.seen += 1
        self.first.weight.data.mul_(2.0)
        with torch.no_grad():
            self.last.bias.add_(random.random())
        x = F.dropout(self.drop(self.norm(self.first(x))), training=True)
        found: Tensor = self.last(x)
        return found


def test_the_pass_changes_nothing() -> None:
    network = Restless()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    drawn, number = torch.get_rng_state(), random.getstate()
    assert len(find_layers(network, example=X)) == 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), drawn)
    assert random.getstate() == number
    assert network.calls == 0
    assert network.kept == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("make", NETWORKS)
def test_freezing_found_layers(make: Any) -> None:
    """Frozen ones stay and get no gradient, and nothing is computed for them; resuming is bit-identical."""
    steps, batches = 12, torch.randn(12, 4, 3, 8, 8, generator=torch.Generator().manual_seed(2))

    def start() -> tuple[nn.Module, torch.optim.Optimizer, FreezeOut]:
        torch.manual_seed(0)
        network = make()
        optimizer = torch.optim.AdamW(network.parameters(), 0.01)
        return network, optimizer, FreezeOut(network, optimizer, steps=steps, example=IMAGES, t0=0.2, scaling="linear")

    def train(network: nn.Module, optimizer: Any, freezeout: FreezeOut, images: Tensor) -> None:
        for x in images:
            freezeout.step()
            frozen = [p.clone() for layer in freezeout.layers[: freezeout.frozen] for p in layer.parameters]
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()
            now = [p for layer in freezeout.layers[: freezeout.frozen] for p in layer.parameters]
            assert all(p.grad is None and torch.equal(p, was) for p, was in zip(now, frozen, strict=True))
            later = [p for layer in freezeout.layers[freezeout.frozen :] for p in layer.parameters]
            assert all(p.grad is not None for p in later)

    whole, first, second = start(), start(), start()
    train(*whole, batches)
    assert whole[2].frozen == len(whole[2].layers) - 1
    train(*first, batches[:7])
    parts: list[tuple[Any, Any]] = [(second[at], first[at]) for at in (0, 2, 1)]
    for part, state in parts:
        part.load_state_dict(state.state_dict())
    train(*second, batches[7:])
    for name, tensor in whole[0].state_dict().items():
        assert torch.equal(second[0].state_dict()[name], tensor), name


@pytest.mark.parametrize("make", NETWORKS)
def test_costs_of_found_layers_fall(make: Any) -> None:
    network = make()
    counts = counted_costs(network, IMAGES)
    assert len(counts) == len(find_layers(network, example=IMAGES))
    assert all(later < earlier for earlier, later in itertools.pairwise(counts))
    assert 0 < saving([0.5] * (len(counts) - 1) + [1.0], counts) < 1
    assert len(timed_costs(network, IMAGES, probes=2, repeats=1)) == len(counts)


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_network_without_shapes_is_refused() -> None:
    with pytest.raises(InputError, match=r"network must be initialised by a pass of its own first, got a\.weight"):
        find_layers(Parts(lambda self, x: self.a(x), a=nn.LazyLinear(3)), example=X)


def test_adaptive_freezing_finds_layers_too() -> None:
    options: dict[SignalName, dict[str, Any]] = {
        "gradient": {"percentile": 100.0},
        "representation": {"images": IMAGES, "tolerance": 0.5},
    }
    for signal, more in options.items():
        torch.manual_seed(0)
        network = VisionTransformer()
        optimizer = torch.optim.SGD(network.parameters(), 0.01)
        freezing: Any = AdaptiveFreezing(
            network, optimizer, steps=20, example=IMAGES, signal=signal, every_steps=2, warmup=0, **more
        )
        assert len(freezing.layers) == 5
        for _ in range(20):
            freezing.step()
            network(IMAGES).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        if signal == "gradient":
            assert freezing.frozen >= 1
        else:
            assert all(average > 0 for average in freezing._signal.averages[freezing.frozen :])
