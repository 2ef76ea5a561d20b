"""The two signals by hand, in float64."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.freezeout.freezeout_cases import make_batches, make_network
from torch import nn

from truelift.errors import InputError
from truelift.techniques.freezeout.gradient import GradientSignal, below_percentile, relative_changes
from truelift.techniques.freezeout.representation import RepresentationSignal, distance, similarities


def test_relative_changes_by_hand() -> None:
    assert relative_changes([2.0, 4.0, 0.0, 0.0], [1.0, 5.0, 0.0, 3.0]) == [0.5, 0.25, 0.0, float("inf")]


@pytest.mark.parametrize("percentile", [0, 20, 50, 77, 100])
def test_percentiles_are_numpys(percentile: float) -> None:
    changes = [0.3, 0.1, 0.9, 0.4, 0.2, 0.2]
    expected = [change < np.percentile(changes, percentile) for change in changes]
    assert below_percentile(changes, percentile) == expected
    assert below_percentile([0.7], percentile) == [False]  # never below itself


def test_gradient_signal_by_hand() -> None:
    """Gradients set, not computed: Δ sums them with their signs, as the authors' code does."""
    layers: list[list[torch.Tensor]] = [[nn.Parameter(torch.zeros(2))] for _ in range(4)]
    signal = GradientSignal(layers, 50.0)

    def interval(*gradients: list[list[float]]) -> list[bool]:
        for step in gradients:
            for (p,), gradient in zip(layers, step, strict=True):
                p.grad = torch.tensor(gradient, dtype=torch.float32)
            signal.add(0)
        return signal.quiet(0)

    # 1-norms of the sums: 4, 2, 10; then 3, 2.2, 4: changes ¼, ⅒, ⅗ with the median ¼.
    assert interval([[1, -2], [1, 1], [5, 0], [9, 9]], [[1, 0], [1, -1], [5, 0], [9, 9]]) == [False] * 3
    assert signal.norms == [4, 2, 10]
    assert interval([[3, 0], [0, -2.2], [4, 0], [9, 9]]) == [False, True, False]
    # The first is frozen; the others' changes are ½ and ¼, the median between them.
    layers[1][0].grad, layers[2][0].grad = torch.tensor([0.5, -0.6]), torch.tensor([-3.0, 0.0])
    signal.add(1)
    assert signal.quiet(1) == [False, True]
    assert signal.sums[0] == []


def test_half_precision_gradients_are_summed_in_single() -> None:
    layers: list[list[torch.Tensor]] = [[nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))] for _ in range(2)]
    signal = GradientSignal(layers, 50.0)
    for _ in range(1000):  # in bfloat16 the sum would stop at 256
        layers[0][0].grad = torch.ones(1, dtype=torch.bfloat16)
        signal.add(0)
    signal.quiet(0)
    assert signal.norms == [1000]


def test_similarities_and_their_distance_by_hand() -> None:
    # A·Aᵀ = [[4, 2], [2, 5]], rows of length √20 and √29.
    activations = torch.tensor([[2.0, 0.0], [1.0, 2.0]], dtype=torch.float64).view(2, 2, 1, 1)
    expected = torch.tensor([[4, 2], [2, 5]]).double() / torch.tensor([[20.0], [29.0]]).double().sqrt()
    found = similarities(activations)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(similarities(7 * activations), expected)
    other = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(distance(found, other), (expected - other).square().sum() / 4)
    assert distance(found, found) == 0


def outputs(network: nn.Sequential, images: torch.Tensor) -> list[torch.Tensor]:
    """Of the three blocks, in inference mode, by calling them."""
    found = []
    network.eval()
    for block in list(network)[:3]:
        images = block(images)
        found.append(images.detach().clone())
    network.train()
    return found


def test_representation_signal_by_hand() -> None:
    network, images = make_network(), make_batches(1)[0][0]
    layers = [[network[0]], [network[1]], [network[2]], [network[3], network[4], network[5]]]
    signal = RepresentationSignal(network, layers, images, tolerance=0.3)
    before = [similarities(a).numpy() for a in outputs(network, images)]
    assert signal.quiet(0) == [False] * 3
    averages: list[float | None] = [None] * 3
    largest = [0.0] * 3
    generator = torch.Generator().manual_seed(0)
    answers = []
    for moved in (0.5, 0.1, 0.0, 0.0):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(moved * torch.randn(p.shape, generator=generator, dtype=p.dtype))
        expected = []
        for layer, activations in enumerate(outputs(network, images)):
            rows = activations.flatten(1).numpy()
            gram = rows @ rows.T
            now = gram / np.linalg.norm(gram, axis=1, keepdims=True)
            d = float(((now - before[layer]) ** 2).sum() / 36)
            past = averages[layer]
            averages[layer] = average = d if past is None else (past + d) / 2
            largest[layer] = max(largest[layer], average)
            before[layer] = now
            expected.append(average < 0.3 * largest[layer])
        assert signal.quiet(0) == expected
        assert signal.averages == pytest.approx(averages)
        answers.append(expected)
    assert answers[0] == [False] * 3
    assert answers[-1] == [True] * 3


def test_measuring_leaves_the_network_as_it_was() -> None:
    network, images = make_network(), make_batches(1)[0][0]
    network[1].eval()
    signal = RepresentationSignal(network, [[m] for m in network[:3]] + [[network[5]]], images, tolerance=0.3)
    tensors = {k: v.clone() for k, v in network.state_dict().items()}
    modes = [m.training for m in network.modules()]
    signal.quiet(0)
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(v, tensors[k]) for k, v in network.state_dict().items())
    assert not any(m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())
    assert len(signal.before) == 3
    signal.quiet(2)
    assert len(signal.before) == 1


def test_a_layer_that_is_not_called_is_refused() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.head = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for part in self.parts:
                x = F.relu(part(x))
            head: torch.Tensor = self.head(x)
            return head

    network = Odd()
    signal = RepresentationSignal(network, [[network.parts], [network.head]], torch.ones(3, 2), tolerance=0.3)
    with pytest.raises(InputError, match="layers must each end in a module that is called, got ModuleList in layer 0"):
        signal.quiet(0)


def test_hooks_are_heeded_in_a_compiled_network() -> None:
    torch._dynamo.reset()
    network, images = make_network(), make_batches(1)[0][0]
    layers = [[m] for m in network[:3]] + [[network[5]]]
    compiled: Any = torch.compile(network, backend="aot_eager")
    compiled(images)  # compiled before there are hooks
    signal = RepresentationSignal(compiled, layers, images, tolerance=0.3)
    plain = RepresentationSignal(network, layers, images, tolerance=0.3)
    signal.quiet(0)
    plain.quiet(0)
    assert all(torch.equal(a, b) for a, b in zip(signal.before, plain.before, strict=True))
