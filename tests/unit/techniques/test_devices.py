"""Faults that are told late, and copies that nobody waits for."""

import copy
import pickle
from collections.abc import Sequence

import pytest
import torch

from truelift.errors import InputError
from truelift.techniques import devices
from truelift.techniques.devices import Late, moved, widest
from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss
from truelift.techniques.gradient_similarity import GradientSimilarity


def tell(numbers: Sequence[float]) -> InputError:
    return InputError(f"{numbers[0]:g} faults, {numbers[1]:g}")


def test_the_first_fault_is_told_once_when_asked() -> None:
    late = Late(tell)
    for numbers in ((0.0, 1.0), (2.0, 3.0), (0.0, 4.0), (5.0, 6.0)):
        late.add(torch.tensor(numbers))
    for other in (copy.deepcopy(late), pickle.loads(pickle.dumps(late))):
        other.check()
    with pytest.raises(InputError, match=r"^2 faults, 3$"):
        late.check()
    late.check()


def test_a_fault_is_told_by_the_call_after_its_numbers_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = False
    monkeypatch.setattr(devices, "send", lambda numbers: (numbers.clone(), lambda: arrived))
    late = Late(tell)
    late.add(torch.tensor([1.0, 7.0]))
    late.add(torch.tensor([0.0, 0.0]))
    arrived = True
    with pytest.raises(InputError, match=r"^1 faults, 7$"):
        late.add(torch.tensor([0.0, 0.0]))
    late.add(torch.tensor([0.0, 0.0]))


def test_what_is_found_without_gradients_is_kept() -> None:
    """A validation before the first step, in inference mode, whose tensors cannot be changed outside of it."""
    late = Late(tell)
    with torch.inference_mode():
        late.add(torch.tensor([0.0, 1.0]))
    late.add(torch.tensor([2.0, 3.0]))
    with torch.inference_mode():
        late.add(torch.tensor([4.0, 5.0]))
    with pytest.raises(InputError, match=r"^2 faults, 3$"):
        late.check()
    torch.manual_seed(0)
    head, criterion = GaussianMixtureHead(3, 4), GaussianMixtureLoss(check_values="late")
    features, labels = torch.randn(2, 3), torch.tensor([0, 1])
    with torch.inference_mode():
        criterion(head, features, labels)
    criterion(head, features, labels).backward()
    criterion.check()
    assert head.means.grad is not None


def test_moved() -> None:
    values = torch.arange(3)
    assert moved(values, "cpu") is values
    assert moved(values, "cpu", torch.float32).dtype == torch.float32
    assert moved(values, "meta", torch.float16).dtype == torch.float16
    assert widest(torch.device("cpu")) == torch.float64
    assert widest(torch.device("mps")) == torch.float32


def test_the_mixture_late() -> None:
    torch.manual_seed(0)
    head, features = GaussianMixtureHead(3, 4), torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 3, -100])
    at_once, late = GaussianMixtureLoss(), GaussianMixtureLoss(check_values="late")
    assert torch.equal(at_once(head, features, labels), late(head, features, labels))
    late.check()
    assert late(head, features, torch.tensor([0, 1, 9, 3, -2])).isnan()
    with pytest.raises(InputError, match=r"labels must be .* got 2 that are none, in -2..9, in a call before"):
        late.check()
    assert not late(head, torch.full_like(features, torch.inf), labels).isfinite()
    with pytest.raises(InputError, match="features must be finite, got 15 infinite"):
        late.check()
    late(head, features, torch.full((5, 4), 0.5))
    with pytest.raises(InputError, match="sum to 1 in each row, got a row of sum 2"):
        late.check()


@pytest.mark.parametrize("rule", ["weighted", "unweighted"])
def test_similarity_late_is_similarity_at_once(rule: str) -> None:
    found = []
    for check_values in (True, "late"):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(6))
        similarity = GradientSimilarity(rule, check_values=check_values)  # type: ignore[arg-type]
        for _ in range(4):
            combined = similarity.backward((weight * torch.randn(6)).sum(), (weight * torch.randn(6)).sum())
        similarity.check()
        found.append([weight.grad, combined.cosines, combined.averages, combined.weights])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_similarity_tells_late_which_loss_it_was() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    similarity = GradientSimilarity(check_values="late")
    similarity.backward(weight.sum(), (weight * torch.inf).sum(), weight.sum())
    with pytest.raises(InputError, match="from the auxiliary 1 loss, in a call before"):
        similarity.check()
    combined = similarity.backward(weight.sum(), weight.sum(), weight.sum())
    similarity.check()
    assert combined.averages.tolist() == [[pytest.approx(1), pytest.approx(1)]]
