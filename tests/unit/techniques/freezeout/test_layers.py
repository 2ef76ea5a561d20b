from typing import Any

import pytest
import torch
from tests.unit.techniques.freezeout.freezeout_cases import STEPS, make_batches, make_network, sgd, train
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.freezeout import FreezeOut, find_layers


class Body(nn.Module):
    """A network that is no Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3)
        self.drop = nn.Dropout()
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)])
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x).tanh()
        found: Tensor = self.head(self.norm(x).mean((2, 3)))
        return found


class WithLayers(Body):
    def layers(self) -> list[nn.Module]:
        return [self.stem, *self.blocks, nn.ModuleList([self.norm, self.head])]


def modules(network: Any) -> list[list[nn.Module]]:
    return [[network.stem], [network.blocks[0]], [network.blocks[1]], [network.norm, network.head]]


def test_sequential_merges_children_without_parameters() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.Dropout(), nn.ReLU(), nn.Linear(2, 2), nn.Softmax(1))
    assert find_layers(network) == [list(network)[:4], list(network)[4:]]
    with pytest.raises(InputError, match="layers must be at least 2, got 1"):
        find_layers(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(2, 2)))


def test_a_compiled_sequential_is_what_it_was() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    assert find_layers(torch.compile(network, backend="eager")) == find_layers(network)  # type: ignore[arg-type]
    own = type("Own", (nn.Module,), {})()
    with pytest.raises(InputError, match="layers or example must be given for a Own"):
        find_layers(torch.compile(own, backend="eager"))  # type: ignore[arg-type]


def test_own_method_lists_and_patterns_agree() -> None:
    network = WithLayers()
    assert next(list(layer[0].parameters()) for layer in find_layers(network)) == list(network.stem.parameters())
    assert find_layers(network)[:3] == modules(network)[:3]
    assert find_layers(network, modules(network)) == modules(network)
    assert (
        find_layers(network, ["stem", "blocks.*", nn.ModuleList([network.norm, network.head])])[:3]
        == (modules(network)[:3])
    )
    head = find_layers(network, ["stem", "blocks.?", [network.norm, network.head]])
    assert head == modules(network)
    # A pattern matches a module's parts too; the outer one is the layer.
    assert find_layers(network, ["stem*", "block*", "norm", "head"])[1] == [network.blocks]
    # Modules without parameters are no layers.
    assert find_layers(network, ["[sd]*", "blocks", "norm", "head"])[0] == [network.stem]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (None, "layers or example must be given for a Body"),
        (["stem"], "layers must be at least 2, got 1"),
        (["stem", "head"], r"none with blocks.0.weight, blocks.0.bias, blocks.1.weight and 3 more"),
        (["stem", "blocks", "blocks.0", "norm", "head"], "must not repeat a module, got Conv2d in layers 1 and 2"),
        (["stem", "stem", "blocks", "norm", "head"], "must not repeat a module, got Conv2d in layers 0 and 1"),
        (["stem", "layer*"], 'no module is named like "layer*'),
    ],
)
def test_bad_layers(layers: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_layers(Body(), layers)


def test_parameters_that_need_no_gradient_may_be_in_no_layer() -> None:
    network = Body()
    network.stem.requires_grad_(False)
    assert len(find_layers(network, ["blocks.*", "norm", "head"])) == 4
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    FreezeOut(network, optimizer, steps=4, layers=["stem", "blocks", "norm", "head"])


def test_shared_parameter_freezes_with_the_later_layer() -> None:
    network = make_network()
    network[2][0].weight = network[1][0].weight
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0.2, scaling="linear")
    batches, shared = make_batches(), network[1][0].weight
    # The points: 8, 18⅔, 29⅓ and 40.
    train(network, optimizer, freezeout, batches[:20])
    assert freezeout.frozen == 2
    assert shared.requires_grad
    assert not network[1][0].bias.requires_grad
    assert sum(any(p is shared for p in g["params"]) for g in optimizer.param_groups) == 1
    before = shared.clone()
    train(network, optimizer, freezeout, batches[20:25])
    assert not torch.equal(shared, before)
    train(network, optimizer, freezeout, batches[25:30])
    frozen = shared.clone()
    train(network, optimizer, freezeout, batches[30:])
    assert not shared.requires_grad
    assert torch.equal(shared, frozen)


def test_optimizer_lacking_a_parameter_is_refused() -> None:
    network = make_network()
    with pytest.raises(InputError, match=r"without 2 of them, the first of shape \(3, 4\)"):
        FreezeOut(network, torch.optim.SGD(network[:5].parameters(), 0.1), steps=4)


def test_other_parameters_keep_their_rate_and_groups_their_options() -> None:
    network = make_network()
    extra = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    decayed = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() == 1]
    groups = [{"params": [*decayed, extra], "weight_decay": 0.1}, {"params": plain, "lr": 0.5}]
    optimizer = torch.optim.SGD(groups, 0.1)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0.2, scaling="linear", scale_lr=False)
    divided: list[dict[str, Any]] = []
    hook = optimizer.register_step_pre_hook(lambda o, *_: divided.extend(o.param_groups))
    freezeout.step()
    optimizer.step()
    hook.remove()
    # Divided by layers while it steps, when every factor is still 1; before and after it the groups are the user's.
    assert [(g["layer"], g["lr"], g["weight_decay"]) for g in divided] == [
        (None, 0.1, 0.1),
        *[(i, 0.1, 0.1) for i in range(4)],
        *[(i, 0.5, 0) for i in range(4)],
    ]
    assert len({id(p) for g in divided for p in g["params"]}) == 15 == sum(len(g["params"]) for g in divided)
    assert [(g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [
        (0.1, 0.1, 5),
        (0.5, 0, 10),
    ]
    for step in range(1, STEPS):
        freezeout.step()
        optimizer.zero_grad()
        extra.grad = torch.ones_like(extra)
        before = extra.detach().clone()
        optimizer.step()
        torch.testing.assert_close(before - extra.detach(), 0.1 * (1 + 0.1 * before), msg=str(step))
