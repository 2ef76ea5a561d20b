"""SAM against a hand computation in float64 and a quadratic, and that it leaves nothing behind but gradients."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.sharpness_aware import SharpnessAware, ascent


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(12, 5, generator=draw).to(dtype), torch.randint(0, 3, (12,), generator=draw)


def loss_of(net: nn.Module, dtype: torch.dtype = torch.float32) -> Callable[[], Tensor]:
    images, labels = batch(dtype)
    return lambda: F.cross_entropy(net(images), labels)


def gradients(net: nn.Module) -> list[Tensor]:
    found = []
    for p in net.parameters():
        assert p.grad is not None
        found.append(p.grad.clone())
    return found


def by_hand(rho: float) -> tuple[list[Tensor], list[float]]:
    """The gradient at w + ρ·g/‖g‖ in float64, by a network that is really moved there; the loss here and there."""
    net = network(torch.float64)
    here = loss_of(net, torch.float64)()
    g = torch.autograd.grad(here, list(net.parameters()))
    norm = torch.cat([part.flatten() for part in g]).norm()
    moved = copy.deepcopy(net)
    with torch.no_grad():
        for p, part in zip(moved.parameters(), g, strict=True):
            p.add_(rho * part / norm)
    there = loss_of(moved, torch.float64)()
    there.backward()
    return gradients(moved), [here.item(), there.item(), norm.item()]


@pytest.mark.parametrize("rho", [0.05, 0.5])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("given", [True, False], ids=["losses given", "made here"])
def test_equals_a_hand_computation(rho: float, dtype: torch.dtype, limit: float, given: bool) -> None:
    expected, numbers = by_hand(rho)
    net = network(dtype)
    again = loss_of(net, dtype)
    seen = SharpnessAware(net, rho).backward(again, again() if given else None)
    for actual, wanted in zip(gradients(net), expected, strict=True):
        torch.testing.assert_close(actual.double(), wanted, rtol=limit, atol=limit)
    assert [seen.loss.item(), seen.climbed_loss.item(), seen.gradient_norm.item()] == pytest.approx(numbers, rel=limit)
    assert seen.logged()["sharpness"].item() == pytest.approx(numbers[1] - numbers[0], abs=limit)
    assert numbers[1] - numbers[0] > 1e-3


def test_quadratic() -> None:
    """L = ½·wᵀAw has ∇L(w + ε) = A·(w + ρ·Aw/‖Aw‖)."""
    a = torch.tensor([[4.0, 1.0], [1.0, 0.5]], dtype=torch.float64)
    w = nn.Parameter(torch.tensor([0.3, -2.0], dtype=torch.float64))
    SharpnessAware([w], 0.2).backward(lambda: w @ a @ w / 2)
    g = a @ w.detach()
    torch.testing.assert_close(w.grad, a @ (w.detach() + 0.2 * g / g.norm()), rtol=1e-14, atol=0)


def test_without_a_radius_it_is_the_plain_gradient_bit_for_bit() -> None:
    plain, net = network(), network()
    loss_of(plain)().backward()
    SharpnessAware(net, 0.0).backward(loss_of(net))
    assert all(torch.equal(a, b) for a, b in zip(gradients(net), gradients(plain), strict=True))


def test_weights_and_statistics_are_left_as_one_forward_pass_leaves_them() -> None:
    plain, net = network(), network()
    loss_of(plain)().backward()
    SharpnessAware(net, 0.5).backward(loss_of(net))
    expected = plain.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())
    assert int(expected["1.num_batches_tracked"]) == 1
    assert not all(torch.equal(a, b) for a, b in zip(gradients(net), gradients(plain), strict=True))


def test_a_buffer_that_is_replaced_is_put_back() -> None:
    class Counting(nn.Module):
        seen: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.register_buffer("seen", torch.zeros(()))

        def forward(self) -> Tensor:
            self.seen = self.seen + 1
            return self.weight.square().sum()

    module = Counting()
    before = module.seen
    SharpnessAware(module).backward(module, module())
    assert module.seen.item() == 1
    assert module.seen is not before


def test_gradients_are_added_and_hooks_see_the_second_alone() -> None:
    net = network()
    again, hooked = loss_of(net), []
    for p in net.parameters():
        p.register_post_accumulate_grad_hook(lambda p: hooked.append(p))
    rule = SharpnessAware(net)
    rule.backward(again)
    assert len(hooked) == len(list(net.parameters()))
    once = gradients(net)
    rule.backward(again)
    for twice, one in zip(gradients(net), once, strict=True):
        torch.testing.assert_close(twice, 2 * one)


def test_several_losses_are_summed_and_frozen_parameters_stay() -> None:
    net, other = network(torch.float64), network(torch.float64)
    for each in (net, other):
        each[0].requires_grad_(False)
    a, b = loss_of(net, torch.float64), loss_of(other, torch.float64)
    SharpnessAware([net[0], net[1], net[3]]).backward(lambda: {"main": 0.25 * a(), "second": 0.75 * a()})
    SharpnessAware(other).backward(b)
    assert net[0].weight.grad is None
    for p, q in zip(net[1:].parameters(), other[1:].parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-12)


def test_a_second_pass_that_raises_leaves_everything_as_it_was() -> None:
    net = network()
    images, labels = batch()
    first = F.cross_entropy(net(images), labels)
    before = copy.deepcopy(net.state_dict())

    def out_of_memory() -> Tensor:
        net(images)
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        SharpnessAware(net, 0.5).backward(out_of_memory, first)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("scale", [1e-42, 1e-25, 1e-15, 1.0, 1e15, 1e25])
def test_the_step_has_its_length_whatever_the_gradients_scale(scale: float) -> None:
    parts = [torch.tensor([3.0, 0.0]) * scale, torch.tensor([[4.0]]) * scale]
    steps = ascent(parts, 0.05)
    limit = 1e-2 if scale < 1e-38 else 1e-6  # subnormal numbers have few digits
    torch.testing.assert_close(steps[0], torch.tensor([0.03, 0.0]), rtol=limit, atol=0)
    torch.testing.assert_close(steps[1], torch.tensor([[0.04]]), rtol=limit, atol=0)


def test_a_zero_gradient_does_not_climb() -> None:
    w = nn.Parameter(torch.zeros(3))
    seen = SharpnessAware([w]).backward(lambda: w.square().sum())
    assert torch.equal(w, torch.zeros(3))
    assert w.grad is not None
    assert not w.grad.any()
    assert seen.gradient_norm == 0


def test_sparse_and_complex_parameters() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    w = nn.Parameter(torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex128))
    at = torch.tensor([0, 2, 2])
    SharpnessAware([table], 0.1).backward(lambda: table(at).square().sum())
    SharpnessAware([w], 0.1).backward(lambda: w.abs().square().sum())
    assert table.weight.grad is not None
    x = table.weight.detach()[[0, 2]].double()
    counts = torch.tensor([[1.0], [2.0]])
    g = 2 * counts * x
    torch.testing.assert_close(
        table.weight.grad.to_dense()[[0, 2]].double(), 2 * counts * (x + 0.1 * g / g.norm()), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(w.grad, 2 * w.detach() * (1 + 0.1 / w.detach().norm()), rtol=1e-14, atol=0)


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.ones(2))


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "rho": (lambda: SharpnessAware([parameter()], -0.1), "rho must be at least 0 and finite, got -0.1."),
    "nan": (lambda: SharpnessAware([parameter()], float("nan")), "rho must be at least 0 and finite, got nan."),
    "nothing": (lambda: SharpnessAware([]), "climbing must be a module with parameters, or parameters, got none."),
    "vector": (
        lambda: SharpnessAware([w := parameter()]).backward(lambda: w * 2),
        "the loss must be a scalar, got (2,).",
    ),
    "no graph": (
        lambda: SharpnessAware([parameter()]).backward(lambda: {"main": torch.ones(())}),
        "the main loss must be one with a graph, got a tensor that no parameter led to.",
    ),
    "no losses": (lambda: SharpnessAware([parameter()]).backward(dict), "losses must be at least one, got none."),
    "an optimizer": (
        lambda: SharpnessAware(torch.optim.SGD([parameter()])),  # type: ignore[arg-type]
        "climbing must be a module, or several, or parameters, got one of type SGD.",
    ),
    "named parameters": (
        lambda: SharpnessAware(nn.Linear(2, 1).named_parameters()),  # type: ignore[arg-type]
        "climbing must be a module, or several, or parameters, got one of type tuple.",
    ),
    "a loss for a function": (
        lambda: SharpnessAware([w := parameter()]).backward(w.sum()),  # type: ignore[arg-type]
        "again must be a function that makes a forward pass anew, got Tensor.",
    ),
    "a function that gives nothing": (
        lambda: SharpnessAware([w := parameter()]).backward(lambda: w.sum().backward()),
        "the loss must be a scalar tensor, got something of type NoneType.",
    ),
    "another's": (
        lambda: SharpnessAware([parameter()]).backward(lambda: parameter().sum()),
        "losses must depend on a parameter that climbs, got none that does.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    run, message = CASES[case]
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == message
