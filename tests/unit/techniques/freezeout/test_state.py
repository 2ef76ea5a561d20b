"""FreezeOut and AdaptiveFreezing keep their state: copies, pickles, steps that raise, closures, any form of group."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.freezeout.freezeout_cases import STEPS, make_batches, make_network, sgd, train
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut, Front

Parts = tuple[Any, Any, Any]
EARLY: dict[str, Any] = {"steps": STEPS, "t0": 0.2, "scaling": "linear"}
RULES: dict[str, Callable[[nn.Module, Any], Front]] = {
    "freezeout": lambda network, optimizer: FreezeOut(network, optimizer, **EARLY),
    "gradient": lambda network, optimizer: AdaptiveFreezing(network, optimizer, steps=STEPS, every_steps=3, warmup=0),
}


def start(rule: str, make: Any = sgd) -> Parts:
    network = make_network()
    optimizer = make(network)
    return network, optimizer, RULES[rule](network, optimizer)


def saved(parts: Parts) -> Parts:
    buffer = io.BytesIO()
    torch.save(parts, buffer)
    buffer.seek(0)
    loaded: Parts = torch.load(buffer, weights_only=False)
    return loaded


COPIES: dict[str, Callable[[Parts], Parts]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda parts: pickle.loads(pickle.dumps(parts)),
    "torch.save": saved,
    "twice": lambda parts: copy.deepcopy(copy.deepcopy(parts)),
}


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("cut", [0, 15])
def test_copies_train_like_the_original_and_apart_from_it(rule: str, copied: str, cut: int) -> None:
    whole, parts, batches = start(rule), start(rule), make_batches()
    train(*whole, batches)
    assert whole[2].frozen >= 1
    train(*parts, batches[:cut])
    other = COPIES[copied](parts)
    train(*other, batches[cut:])
    assert_equal(whole[0], other[0])
    assert other[2].stages == whole[2].stages
    train(*parts, batches[cut:])
    assert_equal(whole[0], parts[0])


def test_a_network_that_holds_its_freezing_is_copied_with_it() -> None:
    network: Any = make_network()
    network.optimizer = optimizer = sgd(network)
    network.freezing = freezing = FreezeOut(network, optimizer, **EARLY)
    other = copy.deepcopy(network)
    assert other.freezing.optimizer is other.optimizer
    train(network, optimizer, freezing, make_batches())
    train(other, other.optimizer, other.freezing, make_batches())
    assert_equal(network, other)


def test_a_shallow_copy_multiplies_rates_once() -> None:
    network, optimizer, freezing = start("freezeout")
    freezing = copy.copy(freezing)
    train(network, optimizer, freezing, make_batches())
    whole = start("freezeout")
    train(*whole, make_batches())
    assert_equal(whole[0], network)


class Failing(torch.optim.SGD):
    """Raises, as if out of memory, in every second step."""

    calls = 0

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        if self.calls % 2 == 0:
            raise torch.OutOfMemoryError("out of memory")
        return super().step(closure)


def test_a_step_that_raises_leaves_the_rates_and_groups() -> None:
    network, optimizer, freezing = start("freezeout", lambda n: Failing(n.parameters(), 0.1))
    groups = list(optimizer.param_groups)
    failed = 0
    for images, labels in make_batches(10):
        freezing.step()
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        try:
            optimizer.step()
        except torch.OutOfMemoryError:
            failed += 1
        assert [group["lr"] for group in optimizer.param_groups] == [0.1]
        assert all(a is b for a, b in zip(groups, optimizer.param_groups, strict=True))
    assert failed == 5
    with pytest.raises(ZeroDivisionError):
        optimizer.step(lambda: 1 / 0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1]


def closure_of(network: nn.Module, optimizer: Any, images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("by_name", [False, True])
def test_closures(rule: str, by_name: bool) -> None:
    whole, (network, optimizer, freezing) = start(rule), start(rule)
    train(*whole, make_batches())
    for images, labels in make_batches():
        freezing.step()
        closure = closure_of(network, optimizer, images, labels)
        assert torch.isfinite(optimizer.step(closure=closure) if by_name else optimizer.step(closure))
    assert whole[2].frozen >= 1
    assert freezing.stages == whole[2].stages
    assert_equal(whole[0], network)


def test_gradients_are_counted_once_a_step_whatever_hooks_do() -> None:
    """A hook that clips comes first, whenever it is registered; a subclass's step that calls its parent's is one."""

    class Sub(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    sgd(make_network()).step()  # torch gives SGD's own step its hooks
    network: Any = make_network()
    optimizer = Sub(network.parameters(), 0.1)
    freezing = AdaptiveFreezing(network, optimizer, steps=STEPS, every_steps=STEPS, warmup=1)

    def clip(*_: Any) -> None:
        network[0][0].weight.grad.fill_(0.5)

    optimizer.register_step_pre_hook(clip)
    freezing.step()
    F.cross_entropy(network(make_batches(1)[0][0]), make_batches(1)[0][1]).backward()
    optimizer.step()
    signal: Any = freezing._signal
    assert torch.equal(signal.sums[0][0], torch.full_like(network[0][0].weight, 0.5))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["lambda", "step", "one cycle", "plateau"])
def test_schedulers_before_and_after(when: str, kind: str) -> None:
    """The rates that they set are those of an optimizer on its own."""
    schedulers: dict[str, Callable[[Any], Any]] = {
        "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, [lambda step: 1 / (1 + step)]),
        "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 7, gamma=0.5),
        "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=STEPS + 1),
        "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=2),
    }
    network, alone = make_network(), sgd(make_network())
    optimizer = sgd(network)
    scheduler = schedulers[kind](optimizer) if when == "before" else None
    freezing = FreezeOut(network, optimizer, **EARLY)
    scheduler = scheduler or schedulers[kind](optimizer)
    reference = schedulers[kind](alone)
    for images, labels in make_batches():
        freezing.step()
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        alone.step()
        for each in (scheduler, reference):
            each.step(1.0) if kind == "plateau" else each.step()
        mine, theirs = optimizer.param_groups, alone.param_groups
        assert [(g["lr"], g["momentum"]) for g in mine] == [(g["lr"], g["momentum"]) for g in theirs]
    assert freezing.frozen == 3


@pytest.mark.parametrize("rule", RULES)
def test_groups_added_later(rule: str) -> None:
    network, optimizer, freezing = start(rule)
    extra = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer.add_param_group({"params": (p for p in [extra]), "lr": 0.5, "momentum": 0.0, "nesterov": False})
    for images, labels in make_batches():
        freezing.step()
        optimizer.zero_grad()
        (F.cross_entropy(network(images), labels) + extra.sum()).backward()
        before = extra.item()
        optimizer.step()
        assert extra.item() == before - 0.5
    assert freezing.frozen >= 1


@pytest.mark.parametrize("rule", RULES)
def test_parameters_with_names(rule: str) -> None:
    network = make_network()
    optimizer = torch.optim.SGD(network.named_parameters(), lr=0.1, momentum=0.9, nesterov=True)
    freezing = RULES[rule](network, optimizer)
    whole = start(rule)
    train(network, optimizer, freezing, make_batches())
    train(*whole, make_batches())
    assert_equal(whole[0], network)
    names = {id(p): name for name, p in network.named_parameters()}
    (group,) = optimizer.param_groups
    assert group["param_names"] == [names[id(p)] for p in group["params"]]


RATES: dict[str, tuple[Any, Any]] = {
    "integer": (1, 1),
    "tensor": (torch.tensor(0.1, dtype=torch.float64), 0.1),
    "tensor of one": (torch.tensor([0.1], dtype=torch.float64), 0.1),
}


def adam_takes(rate: Any) -> bool:
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    weight.sum().backward()
    try:
        torch.optim.Adam([weight], rate, foreach=False).step()
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", RATES)
def test_learning_rates_of_any_form(name: str) -> None:
    rate, number = RATES[name]
    if not adam_takes(rate):
        pytest.skip("torch's own Adam takes no such learning rate in this version")
    network, other = make_network(), make_network()
    optimizer = torch.optim.Adam(network.parameters(), rate, foreach=False)
    plain = torch.optim.Adam(other.parameters(), number, foreach=False)
    given = optimizer.param_groups[0]["lr"]
    train(network, optimizer, FreezeOut(network, optimizer, **EARLY), make_batches())
    train(other, plain, FreezeOut(other, plain, **EARLY), make_batches())
    assert optimizer.param_groups[0]["lr"] is given  # one who holds it can still change it
    for mine, its in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-12)


class Counting(torch.optim.SGD):
    """Writes into its groups: how often it stepped, in numbers and tensors, and by how much it moved in all."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["count"] = group.get("count", 0) + 1
            group.setdefault("tensor", torch.zeros(()))
            group["tensor"] += 1
            group["moved"] = group.get("moved", 0.0) + float(group["lr"])
        return super().step(closure)


def test_what_an_optimizer_writes_into_its_groups_is_kept() -> None:
    network, optimizer, freezing = start("freezeout", lambda n: Counting(n.parameters(), 0.1))
    factors = torch.zeros(4, dtype=torch.float64)
    for images, labels in make_batches(8):
        freezing.step()
        factors += 0.1 * torch.tensor(freezing.factors(), dtype=torch.float64)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
    (group,) = optimizer.param_groups
    assert group["count"] == 8
    assert group["tensor"] == 8
    # It differs from layer to layer; saved with the optimizer.
    state = copy.deepcopy(optimizer.state_dict())["param_groups"][0]["by_layer"]
    assert [state[layer]["moved"] for layer in range(4)] == pytest.approx(factors.tolist())


@pytest.mark.parametrize("rule", RULES)
def test_optimizers_that_cannot_leave_layers_out_are_refused(rule: str) -> None:
    network = make_network()
    with pytest.raises(InputError, match=r"got LBFGS, which keeps a list of its own \(_params\)"):
        RULES[rule](network, torch.optim.LBFGS(network.parameters()))
    with pytest.raises(InputError, match=r"optimizer must be one of torch.optim.s kind, got str"):
        RULES[rule](network, "sgd")
    optimizer = sgd(network)
    RULES[rule](network, optimizer)
    for again in RULES.values():
        with pytest.raises(InputError, match="optimizer must not freeze these layers already, got one with"):
            again(network, optimizer)


@pytest.mark.parametrize("rate", [None, "0.1", torch.tensor([0.1, 0.2])])
def test_groups_without_a_learning_rate_are_refused(rate: Any) -> None:
    network = make_network()
    optimizer = sgd(network)
    optimizer.param_groups[0]["lr"] = rate
    with pytest.raises(InputError, match=r"must have a number as learning rate in each group, got .* group 0"):
        FreezeOut(network, optimizer, steps=4)
    assert "step" not in vars(optimizer)
    del optimizer.param_groups[0]["lr"]
    with pytest.raises(InputError, match="got none in group 0"):
        FreezeOut(network, optimizer, steps=4)


def test_two_networks_in_one_optimizer() -> None:
    one, two = make_network(0), make_network(1)
    optimizer = torch.optim.SGD([*one.parameters(), *two.parameters()], 0.1)
    first, second = FreezeOut(one, optimizer, **EARLY), FreezeOut(two, optimizer, steps=STEPS, t0=1.0)
    alone = make_network(1)
    its = torch.optim.SGD(alone.parameters(), 0.1)
    third = FreezeOut(alone, its, steps=STEPS, t0=1.0)
    for images, labels in make_batches():
        for freezing in (first, second, third):
            freezing.step()
        optimizer.zero_grad()
        its.zero_grad()
        for network in (one, two, alone):
            F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        its.step()
    assert (first.frozen, second.frozen) == (3, 0)
    assert_equal(alone, two)


def test_modes_inside_a_frozen_layer_are_kept_too() -> None:
    network, optimizer, freezing = start("freezeout")
    train(network, optimizer, freezing, make_batches(12))
    assert freezing.frozen == 1
    network[0][1].train()  # the batch norm alone
    freezing.step()
    assert not network[0][1].training


@pytest.mark.parametrize("rule", RULES)
def test_what_is_no_state_is_refused(rule: str) -> None:
    network, optimizer, freezing = start(rule)
    good = freezing.state_dict()
    lacking = {key: value for key, value in good.items() if key != "made"}
    for bad in (None, {}, lacking, *({**good, "made": made} for made in (-1, 1.5, "3", STEPS + 1, 10**9))):
        with pytest.raises(InputError, match="the state"):
            freezing.load_state_dict(bad)
    train(network, optimizer, freezing, make_batches())
    assert freezing.frozen >= 1
