"""Muon against singular values in float64, and against torch's SGD."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.options import check
from truelift.techniques.muon import Muon, orthogonalised, split
from truelift.training.optimizers import OptimizerOptions, build


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6)])
def test_singular_values_go_through_the_quintic(shape: tuple[int, int]) -> None:
    matrix = drawn(*shape)
    u, s, v = np.linalg.svd(matrix.numpy(), full_matrices=False)
    s = s / np.sqrt((s**2).sum())
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    np.testing.assert_allclose(orthogonalised(matrix).numpy(), u * s @ v, rtol=1e-4, atol=1e-5)
    assert ((s > 0.65) & (s < 1.25)).all()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e15])
def test_the_step_has_the_same_size_whatever_the_gradients(scale: float) -> None:
    matrix = drawn(6, 8).float()
    found = orthogonalised(scale * matrix)
    torch.testing.assert_close(found, orthogonalised(matrix), rtol=1e-2, atol=1e-2)
    assert orthogonalised(torch.zeros(2, 3)).abs().max() == 0


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_rest_is_sgd(nesterov: bool) -> None:
    networks = [nn.Linear(4, 3).double() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers = [
        Muon(networks[0].parameters(), 0.05, 0.9, nesterov=nesterov, orthogonal=False),
        torch.optim.SGD(networks[1].parameters(), 0.05, 0.9, nesterov=nesterov, foreach=False),
    ]
    for batch in drawn(8, 5, 4):
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            network(batch).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(networks[0].weight, networks[1].weight, rtol=1e-12, atol=1e-14)


def test_filters_by_hand() -> None:
    filters = nn.Parameter(drawn(6, 2, 1, 2))  # 6 rows of 4 columns
    theta, velocity = filters.detach().clone(), torch.zeros(6, 4, dtype=torch.float64)
    optimizer = Muon([filters], lr=0.1, momentum=0.8, weight_decay=0.5)
    for step in range(3):
        gradient = drawn(6, 4, seed=step + 1)
        filters.grad = gradient.view(6, 2, 1, 2)
        optimizer.step()
        velocity = 0.8 * velocity + gradient
        moved = 1.5**0.5 * orthogonalised(gradient + 0.8 * velocity)
        theta = (1 - 0.1 * 0.5) * theta - 0.1 * moved.view(6, 2, 1, 2)
    torch.testing.assert_close(filters.detach(), theta, rtol=1e-12, atol=1e-12)


def test_the_groups_of_a_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    options = OptimizerOptions(name="muon", lr=0.3, muon_lr=0.05, weight_decay=0.1, decay_norms_and_biases=False)
    groups = build(options, [network]).param_groups
    found = [(g["orthogonal"], g["lr"], g["weight_decay"], [p.ndim for p in g["params"]]) for g in groups]
    assert found == [(True, 0.05, 0.1, [4]), (False, 0.3, 0.1, [2]), (False, 0.3, 0.0, [1, 1, 1, 1])]
    own_rate = [{"params": [network[0].weight], "lr": 1.0}]
    assert split(own_rate, 0.05) == own_rate


def test_no_parameter_is_lost_where_they_come_from_a_generator() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    groups = split([{"params": network.parameters()}], lr=0.02)
    held = {id(p) for group in groups for p in group["params"]}
    assert held == {id(p) for p in network.parameters()}


def test_a_closure_makes_the_gradient_and_its_loss_is_returned() -> None:
    def made() -> tuple[nn.Linear, Muon]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2, bias=False)
        return layer, Muon(layer.parameters())

    layer, optimizer = made()
    layer(torch.ones(4, 3)).square().mean().backward()
    optimizer.step()
    other, closed = made()

    def closure() -> float:
        closed.zero_grad()
        loss = other(torch.ones(4, 3)).square().mean()
        loss.backward()
        return float(loss.item())

    expected = other(torch.ones(4, 3)).square().mean().item()
    assert closed.step(closure) == expected
    assert torch.equal(layer.weight, other.weight)


def test_frozen_parameters_stay_and_a_state_is_taken_up() -> None:
    def made() -> tuple[nn.Conv2d, Muon]:
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 4, 3, bias=False)
        return layer, Muon(layer.parameters(), weight_decay=0.1)

    def trained(layer: nn.Conv2d, optimizer: Muon, steps: int) -> None:
        for _ in range(steps):
            layer(drawn(4, 3, 5, 5).float()).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    layer, optimizer = made()
    optimizer.step()
    assert torch.equal(layer.weight, made()[0].weight)
    trained(layer, optimizer, 2)
    other, resumed = made()
    other.load_state_dict(layer.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    trained(layer, optimizer, 2)
    trained(other, resumed, 2)
    assert torch.equal(layer.weight, other.weight)


def test_a_step_with_a_closure_is_that_behind_its_passes() -> None:
    weights = [nn.Parameter(drawn(4, 3)) for _ in range(2)]
    optimizers = [Muon([weight]) for weight in weights]
    for _ in range(2):
        weights[0].square().sum().backward()
        assert optimizers[0].step() is None
        optimizers[0].zero_grad()

        def closure() -> float:
            optimizers[1].zero_grad()
            loss = weights[1].square().sum()
            loss.backward()
            return float(loss.detach())

        expected = float(weights[1].detach().square().sum())
        assert optimizers[1].step(closure) == expected
    assert torch.equal(weights[0], weights[1])


def test_a_refused_group_is_not_added() -> None:
    optimizer = Muon([nn.Parameter(torch.zeros(2, 2))])
    with pytest.raises(InputError, match="got one of 1"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    assert len(optimizer.param_groups) == 1


def test_bad_values() -> None:
    weight, vector = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))
    with pytest.raises(InputError, match=r"momentum must be in \[0, 1\), got 1"):
        Muon([weight], momentum=1)
    with pytest.raises(InputError, match=r"lr must be in \[0, 1000000000\], got -1"):
        Muon([weight], lr=-1)
    with pytest.raises(InputError, match=r"lr must be in \[0, 1000000000\], got nan"):
        Muon([{"params": [weight], "lr": float("nan")}])
    with pytest.raises(InputError, match=r"momentum must be in \[0, 1\), got 2"):
        Muon([{"params": [weight], "momentum": 2}])
    with pytest.raises(InputError, match=r"lr must be in \[0, 1000000000\], got nan"):
        split([{"params": [weight]}], float("nan"))
    with pytest.raises(InputError, match=r'groups must be dictionaries with "params", got one of type Parameter'):
        split([weight], 0.1)  # type: ignore[list-item]
    embedding = nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="gradients must be dense"):
        Muon(embedding.parameters()).step()
    with pytest.raises(
        InputError, match=r"orthogonal must be false for parameters of fewer than 2 dimensions, got one of 1\."
    ):
        Muon([vector])
    with pytest.raises(InputError, match=r"optimizer\.muon_lr must be at least 0"):
        check(OptimizerOptions(name="muon", muon_lr=-0.1), "optimizer.")
    with pytest.raises(InputError, match=r"nesterov must be false where optimizer\.momentum is 0"):
        check(OptimizerOptions(name="muon", momentum=0))
