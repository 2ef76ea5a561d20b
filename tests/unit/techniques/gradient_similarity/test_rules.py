"""Rules from inner products against the papers' algorithms on vectors."""

import math

import pytest
import torch
from torch import Tensor

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import (
    GradVac,
    cosines,
    multi_task,
    pcgrad,
    similarity_weights,
    single_task,
)


def vectors(tasks: int, seed: int) -> Tensor:
    return torch.randn(tasks, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def surgery(gradients: Tensor) -> Tensor:
    """PCGrad's algorithm 1."""
    total = torch.zeros_like(gradients[0])
    for i, own in enumerate(gradients):
        g = own.clone()
        for j, other in enumerate(gradients):
            if j != i and g @ other < 0:
                g = g - (g @ other) / other.norm() ** 2 * other
        total += g
    return total


class Vaccine:
    """GradVac's algorithm 1."""

    def __init__(self, tasks: int, beta: float) -> None:
        self.target, self.beta = [[0.0] * tasks for _ in range(tasks)], beta

    def __call__(self, gradients: Tensor) -> Tensor:
        total = torch.zeros_like(gradients[0])
        for i, own in enumerate(gradients):
            g = own.clone()
            for j, other in enumerate(gradients):
                if j == i:
                    continue
                c, wanted = float(g @ other / (g.norm() * other.norm())), self.target[i][j]
                if c < wanted:
                    slope, wanted_slope = math.sqrt(1 - c**2), math.sqrt(1 - wanted**2)
                    g = g + g.norm() * (wanted * slope - c * wanted_slope) / (other.norm() * wanted_slope) * other
                    assert float(g @ other / (g.norm() * other.norm())) == pytest.approx(wanted, abs=1e-9)
                self.target[i][j] = (1 - self.beta) * wanted + self.beta * c
            total += g
        return total


@pytest.mark.parametrize("tasks", [2, 3])
def test_pcgrad(tasks: int) -> None:
    conflicts = 0
    for seed in range(20):
        g = vectors(tasks, seed)
        torch.testing.assert_close(pcgrad(g @ g.T) @ g, surgery(g), rtol=1e-10, atol=1e-12)
        conflicts += bool((g @ g.T < 0).any())
    assert conflicts > 5


def test_pcgrad_of_two_by_hand() -> None:
    """(1, 0) and (-1, 1): (1, 0) + (1/2)(-1, 1) and (-1, 1) + (1, 0)."""
    g = torch.tensor([[1.0, 0.0], [-1.0, 1.0]]).double()
    torch.testing.assert_close(pcgrad(g @ g.T) @ g, torch.tensor([0.5, 1.5]).double())


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("beta", [0.01, 0.5])
def test_grad_vac(tasks: int, beta: float) -> None:
    rule, reference = GradVac(beta), Vaccine(tasks, beta)
    for seed in range(12):
        g = vectors(tasks, seed) + 0.5
        torch.testing.assert_close(rule(g @ g.T) @ g, reference(g), rtol=1e-9, atol=1e-11)
    assert rule.average is not None
    torch.testing.assert_close(rule.average, torch.tensor(reference.target, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    assert (rule.average > 0).any()


@pytest.mark.parametrize("rule", [pcgrad, GradVac(0.5), multi_task(), single_task])
def test_zero_and_equal_gradients_are_defined(rule: GradVac) -> None:
    g = vectors(3, 0)
    for broken in (
        g * torch.tensor([[1.0], [0.0], [1.0]]),
        0 * g,
        g[[0, 0, 0]],
        g[[0, 1, 0]] * torch.tensor([[1], [1], [-1]]),
    ):
        for _ in range(4):
            assert rule(broken @ broken.T).isfinite().all()


def test_baselines() -> None:
    gram = torch.eye(3, dtype=torch.float64)
    assert multi_task()(gram).tolist() == [1, 1, 1]
    assert multi_task(0.25)(gram).tolist() == [1, 0.25, 0.25]
    assert single_task(gram).tolist() == [1, 0, 0]


def test_weights_by_hand() -> None:
    cosine = torch.tensor([-1.0, -0.1, 0.0, 0.3, 0.5, 1.0], dtype=torch.float64)
    assert similarity_weights(cosine, "weighted").tolist() == [0, 0, 0, 0.3, 0.5, 1]
    assert similarity_weights(cosine, "unweighted").tolist() == [0, 0, 1, 1, 1, 1]
    assert similarity_weights(cosine, "weighted", 0.5).tolist() == [0, 0, 0, 0, 0, 1]
    assert similarity_weights(cosine, "unweighted", 0.5).tolist() == [0, 0, 0, 0, 1, 1]


def test_cosines_by_hand() -> None:
    g = torch.tensor([[3.0, 4.0], [4.0, 3.0], [-6.0, -8.0], [0.0, 0.0]]).double()
    torch.testing.assert_close(cosines(g @ g.T), torch.tensor([0.96, -1, 0]).double())
    torch.testing.assert_close(cosines(torch.stack([g @ g.T, 4 * g @ g.T])), torch.tensor([[0.96, -1, 0]] * 2).double())


@pytest.mark.parametrize("beta", [0.0, -0.1, 1.5, math.nan])
def test_beta(beta: float) -> None:
    with pytest.raises(InputError, match=r"beta must be in \(0, 1\], got"):
        GradVac(beta)


@pytest.mark.parametrize("weight", [-0.5, math.inf, math.nan])
def test_weight(weight: float) -> None:
    with pytest.raises(InputError, match="weight"):
        multi_task(weight)
