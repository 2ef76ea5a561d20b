"""Averaged weights against float64 sums, and that the network never notices."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.averaged_weights import AveragedWeights, average_, warmed_up


def network() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3))


def steps(net: nn.Module, count: int) -> list[dict[str, Tensor]]:
    """Move a network at random; its weights after each step, in float64."""
    draw = torch.Generator().manual_seed(count)
    history: list[dict[str, Tensor]] = []
    for _ in range(count):
        net(torch.randn(8, 5, generator=draw))
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn(p.shape, generator=draw))
        history.append({name: tensor.double() for name, tensor in net.state_dict().items()})
    return history


def test_average_by_hand() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([[4.0]])
    average_([a, b], [torch.tensor([3.0, 2.0]), torch.tensor([[0.0]])], 0.75)
    assert a.tolist() == [1.5, 2.0]
    assert b.tolist() == [[3.0]]
    average_([], [], 0.5)


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_equals_a_weighted_sum_of_all_weights(decay: float, warmup: bool) -> None:
    """Each step's weights count (1 − d_t)·Π of all later d; the first ones Π of all."""
    net = network()
    first = {name: tensor.double() for name, tensor in net.state_dict().items()}
    averaged, history = AveragedWeights(net, decay, warmup), []
    for _ in range(12):
        history += steps(net, 1)
        averaged.update()
    decays = [min(decay, (1 + t) / (10 + t)) if warmup else decay for t in range(12)]
    shares = [(1 - d) * torch.tensor(decays[t + 1 :], dtype=torch.float64).prod() for t, d in enumerate(decays)]
    rest = torch.tensor(decays, dtype=torch.float64).prod()
    assert float(sum(shares) + rest) == pytest.approx(1)
    with averaged.applied():
        for name, tensor in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                assert int(tensor) == 12
            else:
                expected = rest * first[name] + sum(s * seen[name] for s, seen in zip(shares, history, strict=True))
                torch.testing.assert_close(tensor.double(), expected, rtol=1e-5, atol=1e-6)


def test_warmup_ends_at_the_decay() -> None:
    assert warmed_up(0.999, 0) == 0.1
    assert warmed_up(0.999, 10) == 0.55
    assert warmed_up(0.999, 10**6) == 0.999


def test_the_network_has_its_own_weights_again_to_the_last_bit() -> None:
    net = network()
    averaged = AveragedWeights(net, 0.9)
    steps(net, 3)
    averaged.update()
    before = copy.deepcopy(net.state_dict())
    pointers = [p.data_ptr() for p in net.parameters()]
    with averaged.applied():
        assert not torch.equal(net[0].weight, before["0.weight"])
        steps(net, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with pytest.raises(KeyError), averaged.applied():
        raise KeyError
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert pointers == [p.data_ptr() for p in net.parameters()]  # an optimizer holds them
    averaged.update()


def test_a_resumed_average_goes_on_bit_for_bit() -> None:
    whole, half = network(), network()
    one, two = AveragedWeights(whole, 0.99), AveragedWeights(half, 0.99)
    for net, averaged in ((whole, one), (half, two)):
        for _ in range(3):
            steps(net, 2)
            averaged.update()
    state = two.state_dict()
    steps(half, 1)
    two.update()  # what was saved stays as it was
    resumed = network()
    resumed.load_state_dict(whole.state_dict())
    three = AveragedWeights(resumed, 0.99)
    three.load_state_dict(state)
    for net, averaged in ((whole, one), (resumed, three)):
        steps(net, 2)
        averaged.update()
    a, b = one.state_dict(), three.state_dict()
    assert a["updates"] == b["updates"] == 4
    assert all(torch.equal(tensor, b["averages"][name]) for name, tensor in a["averages"].items())


def test_small_steps_of_bfloat16_weights_are_kept() -> None:
    net = nn.Linear(3, 1, bias=False).bfloat16()
    with torch.no_grad():
        net.weight.fill_(1.0)
    averaged = AveragedWeights(net, 0.999, warmup=False)
    with torch.no_grad():
        net.weight.fill_(2.0)
    for _ in range(100):
        averaged.update()
    expected = torch.full((1, 3), 2 - 0.999**100)
    torch.testing.assert_close(averaged.state_dict()["averages"]["weight"], expected, rtol=1e-5, atol=0)
    with averaged.applied():
        assert net.weight.dtype == torch.bfloat16
        assert torch.equal(net.weight, expected.bfloat16())


def test_buffers_that_are_not_finite_are_copied() -> None:
    net: Any = nn.Linear(2, 2)
    net.register_buffer("mask", torch.tensor([-torch.inf, 1.0, 0.0]))
    averaged = AveragedWeights(net, 0.5, warmup=False)
    net.mask[1:] = torch.tensor([torch.nan, 1.0])
    averaged.update()
    mask = averaged.state_dict()["averages"]["mask"]
    torch.testing.assert_close(mask, torch.tensor([-torch.inf, torch.nan, 0.5]), equal_nan=True)
    net.mask[1] = 3.0
    averaged.update()
    assert averaged.state_dict()["averages"]["mask"][1] == 3


def test_shared_weights_are_averaged_once() -> None:
    net: Any = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    averaged = AveragedWeights(net, 0.5, warmup=False)
    before = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight += 2
    averaged.update()
    with averaged.applied():
        torch.testing.assert_close(net[1].weight.detach(), before + 1)
        assert net[1].weight is net[0].weight


def within(method: str) -> Callable[[], Any]:
    def run() -> None:
        averaged = AveragedWeights(network())
        with averaged.applied():
            if method == "update":
                averaged.update()
            with averaged.applied():
                pass

    return run


def changed(attribute: str, value: nn.Module) -> Callable[[], Any]:
    def run() -> None:
        net = network()
        averaged = AveragedWeights(net)
        setattr(net, attribute, value)
        averaged.update()

    return run


def loaded(**changes: Any) -> Callable[[], Any]:
    averaged = AveragedWeights(nn.Linear(2, 1))
    return lambda: averaged.load_state_dict(averaged.state_dict() | changes)


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "decay": (lambda: AveragedWeights(network(), 1.0), "decay must be in [0, 1), got 1.0."),
    "nan": (lambda: AveragedWeights(network(), float("nan")), "decay must be in [0, 1), got nan."),
    "function's": (lambda: average_([], [], 1.5), "decay must be in [0, 1], got 1.5."),
    "update": (within("update"), "update must be called outside applied(), where the network has its own weights."),
    "applied": (within("applied"), "applied must be called outside applied(), where the network has its own weights."),
    "head": (
        changed("3", nn.Linear(7, 4)),
        "network must have the tensors of those averaged so far: 3.weight must be the shape (3, 7), got the shape "
        "(4, 7).",
    ),
    "more": (
        changed("4", nn.PReLU()),
        "network must have the tensors of those averaged so far: 4.weight must be nothing, got the shape (1,).",
    ),
    "updates": (loaded(updates=-1), "updates must be a whole number of at least 0, got -1."),
    "averages": (
        loaded(averages={}),
        "averages must have the tensors of the network's: weight must be the shape (1, 2), got nothing.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    run, message = CASES[case]
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == message
