"""The criterion inside torch.compile: one graph, and none anew when the margin moves on."""

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import make_head, measured, near_own
from torch import Tensor

from truelift.techniques.gaussian_mixture import GaussianMixtureLoss, doubling


def test_one_graph_for_every_margin() -> None:
    torch.compiler.reset()
    head = make_head("diagonal", "learned", priors="given")
    features, labels = near_own(head.means, 8)
    criterion = GaussianMixtureLoss(doubling(0.1, every_steps=1, cap=0.8), 0.1, label_smoothing=0.1)

    graphs = 0

    def counting(module: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        nonlocal graphs
        graphs += 1
        return torch._dynamo.lookup_backend("aot_eager")(module, inputs)

    compiled = torch.compile(lambda x, y: criterion(head, x, y), fullgraph=True, backend=counting)
    values = []
    for _ in range(3):
        expected, expected_grads = measured(head, features, lambda x: criterion(head, x, labels))
        value, grads = measured(head, features, lambda x: compiled(x, labels))
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(grads, expected_grads)
        values.append(value.item())
        criterion.step()
    assert graphs == 1
    assert values[0] < values[1] < values[2]
    torch.compiler.reset()
    assert pytest.approx(0.8) == criterion.margin.item()
