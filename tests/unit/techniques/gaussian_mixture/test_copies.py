"""Copies, pickles, states and other types: each criterion and each head has its own state, and keeps it."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import FAMILIES, make_head, near_own
from torch import nn

from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss, constant, doubling, ramp


def saved(module: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    loaded: nn.Module = torch.load(buffer, weights_only=False)
    return loaded


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "save": saved,
    "inside": lambda module: copy.deepcopy(nn.ModuleList([module]))[0],
}
SCHEDULES = [doubling(0.1, every_steps=10, cap=0.8), ramp(0.8, steps=50), constant(0.4)]


def late() -> GaussianMixtureLoss:
    criterion = GaussianMixtureLoss(doubling(0.1, every_steps=10, cap=0.8), ramp(0.5, steps=100), class_weights=[1, 2])
    criterion.set_step(25)
    return criterion


def values(criterion: GaussianMixtureLoss) -> tuple[int, float, float]:
    return int(criterion.steps), criterion.margin.item(), criterion.likelihood_weight.item()


AT_25: Any = (25, pytest.approx(0.4), pytest.approx(0.125))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["doubling", "ramp", "constant"])
def test_schedules_are_plain_objects(schedule: Any) -> None:
    for twin in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin == schedule
        assert [twin(t) for t in range(0, 100, 7)] == [schedule(t) for t in range(0, 100, 7)]


@pytest.mark.parametrize("way", COPIES)
def test_a_copied_criterion_has_a_margin_of_its_own(way: str) -> None:
    original = late()
    twin = COPIES[way](original)
    assert values(twin) == AT_25
    twin.set_step(0)
    assert values(original) == AT_25
    twin.load_state_dict(original.state_dict())  # the hook is the copy's
    assert values(twin) == AT_25
    original.set_step(5)
    twin.step()
    assert values(twin)[0] == 26
    assert values(original)[0] == 5
    twin.load_state_dict(original.state_dict(), assign=True)
    twin.step()
    assert values(twin)[0] == 6
    assert twin.class_weights.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_types_round_neither_margin_nor_weight(dtype: torch.dtype) -> None:
    criterion = late().to(dtype)
    assert values(criterion) == AT_25
    assert criterion.margin.dtype == torch.promote_types(dtype, torch.float32)
    criterion.step()
    assert values(criterion)[0] == 26
    back = criterion.float()
    assert back.margin.item() == torch.tensor(0.4).item()
    assert back.likelihood_weight.item() == torch.tensor(0.5 * 0.26).item()


def test_other_devices() -> None:
    """By way of the meta device, where no number is left."""
    criterion = late().to("meta").to_empty(device="cpu")
    assert values(criterion) == AT_25


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_a_copied_head_has_a_state_of_its_own(way: str, covariance: str, variances: str) -> None:
    original = make_head(covariance, variances, priors="estimated")
    features, labels = near_own(original.means, 20)
    criterion = GaussianMixtureLoss()
    criterion(original, features, labels)
    twin = COPIES[way](original)
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    torch.testing.assert_close(twin.state_dict(), before, rtol=0, atol=0)
    criterion(twin, features + 1, labels)
    torch.testing.assert_close(original.state_dict(), before, rtol=0, atol=0)
    fresh = make_head(covariance, variances, priors="estimated")
    fresh.load_state_dict(twin.state_dict())
    assert torch.equal(fresh(features), twin(features))


def test_means_given_by_a_computation_are_copied() -> None:
    drawn = torch.randn(3, 4, requires_grad=True)
    head = copy.deepcopy(GaussianMixtureHead(4, 3, means=drawn * 2))
    assert torch.equal(head.means, drawn * 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft"])
def test_a_head_of_another_type_goes_on(dtype: torch.dtype, soft: bool) -> None:
    """Tracked variances in 16 bits raised an error of torch's."""
    plain, moved = (make_head("diagonal", "tracked", priors="estimated") for _ in range(2))
    features, labels = near_own(plain.means, 40)
    targets = torch.nn.functional.one_hot(labels, 10).float() if soft else labels
    loss, variances = [], []
    for head in (plain, moved.to(dtype)):
        loss.append(GaussianMixtureLoss(0.3)(head, features, targets).double())
        variances.append(head.kept_variances.double())
    assert moved.kept_variances.dtype == dtype
    assert moved.class_counts.dtype == torch.int64
    torch.testing.assert_close(loss[1], loss[0], rtol=2e-2, atol=0)
    torch.testing.assert_close(variances[1], variances[0], rtol=2e-2, atol=0)
