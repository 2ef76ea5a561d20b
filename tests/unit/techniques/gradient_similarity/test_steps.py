"""Over several steps: cosines now and then, moving averages, saved state."""

import copy
import math
from typing import Any

import pytest
import torch
from similarity_cases import (
    assert_equal,
    expected_step,
    is_shared,
    make_batch,
    make_net,
    separate_gradients,
    step,
    written,
)

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
