"""What the rule promises: never against the main loss, whatever the scale, and to the main loss's critical points."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from truelift.techniques.gradient_similarity import GradientSimilarity, multi_task

NUMBERS = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3)


def linear(p: Tensor, slope: Any) -> Tensor:
    return (p * torch.as_tensor(slope, dtype=p.dtype)).sum()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=3), st.sampled_from(["weighted", "unweighted"]))
def test_never_against_the_main_loss(main: list[float], auxiliary: list[list[float]], rule: Any) -> None:
    p = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    combined = GradientSimilarity(rule).backward(linear(p, main), *(linear(p, a) for a in auxiliary))
    g = torch.tensor(main, dtype=torch.float64)
    assert p.grad is not None
    scale = g.norm() * (g.norm() + torch.tensor(auxiliary, dtype=torch.float64).norm(dim=1).sum())
    assert p.grad @ g >= g @ g - 1e-12 * scale
    assert ((combined.cosines >= -1) & (combined.cosines <= 1)).all()
    if rule == "weighted":
        assert torch.equal(combined.weights[0, 1:], combined.cosines[0].clamp(min=0))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.floats(-15, 15), st.floats(-15, 15))
def test_cosine_at_every_scale(seed: int, main_power: float, auxiliary_power: float) -> None:
    check_scale(seed, main_power, auxiliary_power)


@pytest.mark.parametrize("power", [-25.0, -22.0, -21.5, -20.0, -19.0, 18.0, 20.0, 25.0])
def test_cosine_beyond_squares(power: float) -> None:
    """Squares that float32 does not hold, or holds with few digits."""
    check_scale(0, power, power)
    check_scale(1, 0, power)
    check_scale(2, power, 0)


def check_scale(seed: int, main_power: float, auxiliary_power: float) -> None:
    a, b = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
    a, b = a * 10**main_power, b * 10**auxiliary_power
    expected = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0, eps=0)
    p = torch.zeros(5, requires_grad=True)
    combined = GradientSimilarity().backward(linear(p, a), linear(p, b))
    assert float(combined.cosines) == pytest.approx(float(expected), abs=1e-6)
    assert p.grad is not None
    torch.testing.assert_close(p.grad.double(), a.double() + expected.clamp(min=0) * b.double(), rtol=1e-4, atol=0)


def descend(
    main: Callable[[Tensor], Tensor], auxiliary: Callable[[Tensor], Tensor], start: list[float], rule: Any, rate: float
) -> float:
    """‖∇ main‖ after gradient descent."""
    p = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    similarity = GradientSimilarity(rule)
    norm = torch.inf
    for _ in range(1000):
        norm = float(torch.autograd.grad(main(p), p)[0].norm())
        if norm < 1e-3:
            break
        p.grad = None
        similarity.backward(main(p), auxiliary(p))
        assert p.grad is not None
        with torch.no_grad():
            p -= rate * p.grad
    return norm


def rosenbrock(p: Tensor) -> Tensor:
    return (1 - p[0]).square() + 2 * (p[1] - p[0].square()).square()


TOYS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], list[float], float]] = {
    "quadratic, from the left": (lambda p: (p - 10).square().sum(), lambda p: p.square().sum(), [-20.0], 0.05),
    "quadratic, between": (lambda p: (p - 10).square().sum(), lambda p: p.square().sum(), [5.0], 0.05),
    "quadratic, from the right": (lambda p: (p - 10).square().sum(), lambda p: p.square().sum(), [25.0], 0.05),
    "Rosenbrock": (rosenbrock, lambda p: (p - torch.tensor([0.0, -1.0])).square().sum() / 4, [-1.0, 1.0], 0.03),
}


@pytest.mark.parametrize("toy", TOYS)
def test_descent_ends_where_the_main_loss_does(toy: str) -> None:
    main, auxiliary, start, rate = TOYS[toy]
    assert descend(main, auxiliary, start, "weighted", rate) < 1e-3
    assert descend(main, auxiliary, start, "unweighted", rate) < 1e-3
    assert descend(main, auxiliary, start, multi_task(), rate) > 0.1
