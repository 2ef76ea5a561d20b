"""Over several steps: cosines now and then, moving averages, saved state."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from tests.unit.techniques.gradient_similarity.similarity_cases import (
    assert_equal,
    expected_step,
    is_shared,
    make_batch,
    make_net,
    separate_gradients,
    step,
    written,
)
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity, GradVac


@pytest.mark.parametrize("rule", ["weighted", "unweighted"])
@pytest.mark.parametrize("one_pass", [False, True])
@pytest.mark.parametrize("separate", [False, True])
def test_cosines_now_and_then(rule: Any, one_pass: bool, separate: bool) -> None:
    net = make_net(2)
    similarity = GradientSimilarity(rule, every_steps=3, average_decay=0.5, one_pass=one_pass)
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    weight, average = math.nan, math.nan
    for number in range(8):
        batch = make_batch((-1,) if number == 3 else (1,), separate=separate, seed=number)
        main, other = separate_gradients(net, batch)
        combined = step(net, batch, similarity)
        if number % 3 == 0:
            _, (cosine,) = expected_step([main, other])
            assert float(combined.cosines) == pytest.approx(cosine, rel=1e-10)
            weight = max(cosine, 0.0) if rule == "weighted" else float(cosine >= 0)
            average = cosine if number == 0 else 0.5 * average + 0.5 * cosine
        else:
            assert combined.cosines.isnan().all()
            assert combined.cosines.shape == (1, 1)
        assert combined.weights[0].tolist() == pytest.approx([1, weight], rel=1e-10)
        assert float(combined.averages) == pytest.approx(average, rel=1e-10)
        expected = {name: g + (weight if is_shared(name) else 1) * other[name] for name, g in main.items()}
        assert_equal(written(net), expected, 1e-9)
        optimizer.step()
    assert similarity.state_dict()["steps"] == 8


def test_moving_average() -> None:
    """cos = 1, 0, -1, 1 by hand: averages 1, 0.75, 0.3125, 0.484375 with decay 0.75."""
    p = torch.tensor([1.0, 0.0]).requires_grad_()
    plain = GradientSimilarity(average_decay=0.75)
    averaged = GradientSimilarity(average_decay=0.75, use_average=True)
    by_sign = GradientSimilarity("unweighted", threshold=0.4, average_decay=0.75, use_average=True)
    cosines = [1.0, 0.0, -1.0, 1.0]
    averages = [1.0, 0.75, 0.3125, 0.484375]
    for direction, cosine, average in zip(
        [(2.0, 0.0), (0.0, 3.0), (-1.0, 0.0), (5.0, 0.0)], cosines, averages, strict=True
    ):
        losses = p[0] * 4, (p * torch.tensor(direction)).sum()
        for similarity, weight in (
            (plain, max(cosine, 0)),
            (averaged, average),
            (by_sign, 0.0 if average == 0.3125 else 1.0),
        ):
            p.grad = None
            combined = similarity.backward(losses[0] * 1, losses[1] * 1)
            assert float(combined.cosines) == pytest.approx(cosine, abs=1e-12)
            assert float(combined.averages) == pytest.approx(average)
            assert combined.weights[0].tolist() == pytest.approx([1, weight])
            losses = p[0] * 4, (p * torch.tensor(direction)).sum()


OPTIONS: dict[str, dict[str, Any]] = {
    "weighted": {"use_average": True, "average_decay": 0.5},
    "now and then": {"every_steps": 3},
    "layers": {"granularity": "layer", "use_average": True},
    "vaccine": {"rule": GradVac(0.3)},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_state_continues(case: str) -> None:
    """What is saved after four steps continues them alike, also where the first one went on in between."""
    net = make_net(2)

    def make() -> GradientSimilarity:
        return GradientSimilarity(**copy.deepcopy(OPTIONS[case]), network=net)

    def run(similarity: GradientSimilarity, numbers: range) -> list[dict[str, torch.Tensor]]:
        found = []
        for number in numbers:
            step(net, make_batch((-1,) if number % 2 else (1,), seed=number), similarity)
            found.append({name: g.clone() for name, g in written(net).items()})
        return found

    first = make()
    run(first, range(4))
    state = first.state_dict()
    expected = run(first, range(4, 8))
    for second in (make(), first):
        second.load_state_dict(state)
        for actual, wanted in zip(run(second, range(4, 8)), expected, strict=True):
            assert_equal(actual, wanted, 0)
    different = run(make(), range(4, 8))
    pairs = [(a[name], g) for a, e in zip(different, expected, strict=True) for name, g in e.items() if is_shared(name)]
    assert any(not torch.equal(a, g) for a, g in pairs)


def test_state_of_a_new_one() -> None:
    state = GradientSimilarity(GradVac()).state_dict()
    assert state == {"steps": 0, "rule": {}}
    similarity = GradientSimilarity(GradVac())
    step(make_net(2), make_batch(), similarity)
    similarity.load_state_dict(state)
    assert similarity.state_dict() == state


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda things: pickle.loads(pickle.dumps(things))}


class TwoHeads(nn.Module):
    """A trunk of two modules and two heads."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(5, 3), nn.Linear(5, 3)])
        self.double()

    def losses(self, number: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        features = self.trunk(x)
        return self.heads[0](features).square().mean(), (self.heads[1](features) - 1).square().mean()


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("granularity", ["global", "layer", "tensor"])
def test_a_copy_between_parts_of_a_batch_goes_on_with_its_own_network(way: str, granularity: Any) -> None:
    network = TwoHeads()
    similarity = GradientSimilarity("weighted", granularity=granularity, network=network)
    similarity.accumulate(*network.losses(0))
    twin, its = COPIES[way]((network, similarity))
    similarity.backward(*network.losses(1))
    assert all(p.grad is None for p in twin.parameters())
    its.backward(*twin.losses(1))
    for mine, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)  # type: ignore[arg-type]


def test_a_state_drops_what_was_collected() -> None:
    network, other = TwoHeads(), TwoHeads()
    similarity, fresh = GradientSimilarity(), GradientSimilarity()
    state = similarity.state_dict()
    similarity.accumulate(*network.losses(0))
    similarity.load_state_dict(state)
    similarity.backward(*network.losses(1))
    fresh.backward(*other.losses(1))
    for mine, its in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine.grad, its.grad)  # type: ignore[arg-type]


def test_another_number_of_losses_is_measured_anew() -> None:
    network = TwoHeads()
    similarity = GradientSimilarity(every_steps=5)
    similarity.backward(*network.losses(0))
    main, auxiliary = network.losses(1)
    combined = similarity.backward(main, auxiliary, 2 * auxiliary)
    assert combined.weights.shape == (1, 3)
    assert combined.cosines.isfinite().all()


@pytest.mark.parametrize(
    "state",
    [None, {}, {"steps": -1}, {"steps": 1.5}, {"steps": 1, "averages": 3, "weights": 3}, {"steps": 1, "weights": 3}],
)
def test_what_is_no_state_is_refused(state: Any) -> None:
    similarity = GradientSimilarity()
    with pytest.raises(InputError, match="the state"):
        similarity.load_state_dict(state)
    assert similarity.state_dict() == {"steps": 0}
