"""Schedules of the margin and λ, and the counter that moves them: steps made, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import make_head, near_own

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture import GaussianMixtureLoss, constant, doubling, ramp


def values(criterion: GaussianMixtureLoss, steps: int) -> list[float]:
    """The margin at steps 0, 1, … `steps` − 1."""
    found = []
    for _ in range(steps):
        found.append(round(criterion.margin.item(), 6))
        criterion.step()
    return found


def test_doubling_fires_exactly_when_it_says() -> None:
    criterion = GaussianMixtureLoss(doubling(0.1, every_steps=5, cap=0.3))
    assert values(criterion, 17) == [0.1] * 5 + [0.2] * 5 + [0.3] * 7


def test_doubling_over_the_papers_steps() -> None:
    margin = doubling(0.1, every_steps=5000, cap=0.3)
    assert [margin(t) for t in (0, 4999, 5000, 9999, 10000, 10**9)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert doubling(0.0, every_steps=1, cap=1.0)(10**6) == 0
    assert doubling(1e-9, every_steps=1, cap=1e9)(10**6) == 1e9


def test_ramp_and_constant() -> None:
    assert [ramp(0.4, steps=4)(t) for t in (0, 1, 2, 4, 5)] == [0.0, 0.1, 0.2, 0.4, 0.4]
    assert [constant(0.3)(t) for t in (0, 10**6)] == [0.3, 0.3]


def test_a_call_is_not_a_step() -> None:
    """The old failure: calls of the head were counted, so evaluation and gradient accumulation moved the margin."""
    head = make_head("identity")
    features, labels = near_own(head.means, 8)
    criterion = GaussianMixtureLoss(doubling(0.1, every_steps=2, cap=0.3), ramp(0.1, steps=2))
    for _ in range(7):
        criterion(head, features, labels).backward()
        head(features)
        criterion.eval()(head, features, labels)
        criterion.train()
    assert int(criterion.steps) == 0
    assert criterion.margin.item() == pytest.approx(0.1)
    assert criterion.likelihood_weight.item() == 0
    assert values(criterion, 5) == [0.1, 0.1, 0.2, 0.2, 0.3]
    assert criterion.likelihood_weight.item() == pytest.approx(0.1)


def test_the_loss_has_the_margin_of_its_step() -> None:
    head = make_head("diagonal")
    features, labels = near_own(head.means, 8)
    scheduled = GaussianMixtureLoss(doubling(0.1, every_steps=3, cap=0.3), ramp(0.2, steps=4))
    for step in range(8):
        margin, weight = (0.1, 0.2, 0.3)[step // 3], 0.2 * min(1, step / 4)
        torch.testing.assert_close(
            scheduled(head, features, labels), GaussianMixtureLoss(margin, weight)(head, features, labels)
        )
        scheduled.step()


def test_state_restores_the_margin() -> None:
    def fresh() -> GaussianMixtureLoss:
        return GaussianMixtureLoss(doubling(0.1, every_steps=3, cap=0.3), ramp(0.1, steps=10), class_weights=[1.0, 2.0])

    criterion = fresh()
    for _ in range(4):
        criterion.step()
    state = criterion.state_dict()
    assert list(state) == ["steps"]
    restored = fresh()
    restored.load_state_dict(state)
    assert values(restored, 4) == values(criterion, 4) == [0.2, 0.2, 0.3, 0.3]
    inside: Any = torch.nn.Sequential(fresh())
    inside.load_state_dict({"0.steps": torch.tensor(4)})
    assert inside[0].margin.item() == pytest.approx(0.2)
    assert inside[0].likelihood_weight.item() == pytest.approx(0.04)


def test_set_step_goes_anywhere() -> None:
    criterion = GaussianMixtureLoss(doubling(0.1, every_steps=5, cap=0.3))
    for step, margin in ((12, 0.3), (5, 0.2), (0, 0.1)):
        criterion.set_step(step)
        assert int(criterion.steps) == step
        assert criterion.margin.item() == pytest.approx(margin)
    with pytest.raises(InputError, match=r"^steps must be at least 0, got -1.$"):
        criterion.set_step(-1)


def test_a_schedule_that_leaves_its_range_is_refused_when_it_does() -> None:
    criterion = GaussianMixtureLoss(lambda t: 0.1 - 0.2 * t)
    with pytest.raises(InputError, match=r"^margin must be at least 0 and finite, got -0.1 at step 1.$"):
        criterion.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(-1.0), "value must be at least 0 and finite, got -1.0."),
        (lambda: constant(float("nan")), "value must be at least 0 and finite, got nan."),
        (lambda: doubling(-0.1, every_steps=1, cap=1), "initial must be at least 0 and finite, got -0.1."),
        (lambda: doubling(0.1, every_steps=0, cap=1), "every_steps must be at least 1, got 0."),
        (lambda: doubling(0.3, every_steps=1, cap=0.2), "cap must be at least 0.3 and finite, got 0.2."),
        (lambda: ramp(-1.0, steps=1), "final must be at least 0 and finite, got -1.0."),
        (lambda: ramp(float("inf"), steps=1), "final must be at least 0 and finite, got inf."),
        (lambda: ramp(0.1, steps=0), "steps must be at least 1, got 0."),
    ],
)
def test_bad_schedules(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
