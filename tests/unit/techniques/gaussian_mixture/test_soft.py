"""Soft targets: the sum over classes of each class's share times the loss of its hard label, in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.gaussian_mixture.mixture_cases import (
    COVARIANCES,
    FAMILIES,
    Reference,
    applied,
    directions,
    error,
    generator,
    make_head,
    measured,
    near_own,
)
from torch import Tensor

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss, ShardedGaussianMixtureHead
from truelift.techniques.gaussian_mixture.soft import others, spread

LIMIT = 1e-5
WEIGHTS = [0.0, 0.5, 1.0, 2.0, 3.0, 0.1, 1.0, 1.0, 1.0, 4.0]


def mixed(labels: Tensor, classes: int) -> Tensor:
    """As of mixup: two classes a row; every third row one-hot."""
    share = torch.rand(len(labels), 1, generator=generator(5)).double()
    share[::3] = 1
    return share * F.one_hot(labels, classes) + (1 - share) * F.one_hot(labels.flip(0), classes)


def dense(labels: Tensor, classes: int) -> Tensor:
    return (3 * torch.randn(len(labels), classes, generator=generator(6)).double()).softmax(1)


def expected_loss(
    reference: Reference, targets: Tensor, *, margin: float, likelihood_weight: float, reduction: str, **options: Any
) -> Tensor:
    """Σ_k t_k·loss(x, k), term by term, each term reduced as hard labels' is."""
    images, classes = targets.shape
    per_class = [
        reference.loss(torch.full((images,), k), margin=margin, reduction="none", **options) for k in range(classes)
    ]
    entropy = (targets * torch.stack(per_class, 1)).sum(1)
    volume = reference.variance.log().sum(1) / 2
    likelihood = likelihood_weight * (targets * (reference.distances() + volume)).sum(1)
    if reduction == "none":
        each: Tensor = entropy + likelihood
        return each
    if reduction == "sum":
        total: Tensor = (entropy + likelihood).sum()
        return total
    weights = torch.as_tensor(options.get("class_weights") or [1.0] * classes).double()
    found: Tensor = entropy.sum() / (targets @ weights).sum() + likelihood.mean()
    return found


def assert_equals_sum(head: GaussianMixtureHead, make: Callable[[Tensor, int], Tensor], **options: Any) -> None:
    near, labels = near_own(head.means, 24)
    far = torch.randn(near.shape, generator=generator(3))
    targets = make(labels, head.classes)
    names = {"margin", "likelihood_weight"}
    criterion = GaussianMixtureLoss(
        options["margin"], options["likelihood_weight"], **{k: v for k, v in options.items() if k not in names}
    ).eval()
    for features in (near, far):
        reference = Reference(head, features)
        expected = expected_loss(reference, targets, **options)
        value, grads = measured(head, features, lambda x: criterion(head, x, targets.float()))
        assert value.dtype == torch.float32
        assert error(value, expected.detach()) < LIMIT
        for name, grad in reference.gradients(expected.sum()).items():
            assert error(grads[name], grad) < LIMIT, name


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
@pytest.mark.parametrize("make", [mixed, dense])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_equals_the_sum_over_hard_labels(covariance: str, variances: str, make: Any, margin: float) -> None:
    head = make_head(covariance, variances, priors="given", norm2=4.0)
    assert_equals_sum(head, make, margin=margin, likelihood_weight=0.1, reduction="mean")


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 0.1}, {"class_weights": WEIGHTS}, {"label_smoothing": 0.3, "class_weights": WEIGHTS}],
    ids=["smoothing", "weights", "both"],
)
def test_options(covariance: str, reduction: str, options: dict[str, Any]) -> None:
    head = make_head(covariance, priors="estimated", norm2=4.0)
    for make in (mixed, dense):
        assert_equals_sum(head, make, margin=0.3, likelihood_weight=0.1, reduction=reduction, **options)


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2, "class_weights": WEIGHTS}], ids=["plain", "options"])
def test_one_hot_targets_are_labels(covariance: str, variances: str, options: dict[str, Any]) -> None:
    found, states = [], []
    for hot in (False, True):
        head = make_head(covariance, variances, priors="estimated", norm2=4.0)
        features, labels = near_own(head.means, 24)
        targets = F.one_hot(labels, 10).float() if hot else labels
        criterion = GaussianMixtureLoss(0.3, 0.1, **options)
        value, grads = measured(head, features, partial(applied, criterion, head, targets))
        found.append({"value": value, **grads})
        states.append(head.state_dict())
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(states[1], states[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_tiny_losses_are_kept(covariance: str) -> None:
    head = make_head(covariance, means=directions(10, 16, 40.0))
    features, labels = near_own(head.means, 24)
    targets = F.one_hot(labels, 10)
    reference = Reference(head, features)
    expected = reference.loss(labels, margin=0.1, reduction="none")
    criterion = GaussianMixtureLoss(0.1, 0.0, reduction="none")
    value, grads = measured(head, features, lambda x: criterion(head, x, targets.float()))
    assert 1e-28 < expected.max() < 1e-3
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-4, atol=0)
    for name, grad in reference.gradients(expected.sum()).items():
        assert error(grads[name], grad) < 1e-4


@pytest.mark.parametrize("classes", [2, 3, 1000])
def test_sum_over_all_others(classes: int) -> None:
    """Also where one class has all of the softmax, and where all are equal."""
    z = 30 * torch.randn(6, classes, generator=generator())
    z[0, 1], z[1] = 200.0, 0.0
    z[2] = -1e4
    exact = z.double().requires_grad_()
    masked = torch.stack([exact[:, torch.arange(classes) != k].logsumexp(1) for k in range(classes)], 1)
    weights = torch.randn(masked.shape, generator=generator(1))
    (expected,) = torch.autograd.grad((masked * weights).sum(), exact)
    z.requires_grad_()
    found = others(z)
    (grad,) = torch.autograd.grad((found * weights).sum(), z)
    torch.testing.assert_close(found.double(), masked, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(grad.double(), expected, rtol=1e-4, atol=2e-4)


def test_means_far_from_the_origin() -> None:
    """Distances to the two classes of a mixed image are differences squared, whatever lies between x² and μ²."""
    means = 300 + directions(10, 16, 4.0)
    head = make_head("diagonal", means=means)
    features, labels = near_own(means, 24)
    targets = mixed(labels, 10)
    reference = Reference(head, features)
    criterion = GaussianMixtureLoss(0.3, 0.1, reduction="none")
    expected = expected_loss(reference, targets, margin=0.3, likelihood_weight=0.1, reduction="none")
    assert error(criterion(head, features, targets.float()).detach(), expected.detach()) < 1e-4


def test_bfloat16_autocast_and_double() -> None:
    head = make_head("diagonal", norm2=900.0)
    features, labels = near_own(head.means, 24)
    targets = dense(labels, 10)
    criterion = GaussianMixtureLoss(0.3, 0.1, reduction="none")
    reference = Reference(head, features)
    expected = expected_loss(reference, targets, margin=0.3, likelihood_weight=0.1, reduction="none").detach()
    with torch.autocast("cpu", torch.bfloat16):
        assert error(criterion(head, features, targets.float()).detach(), expected) < 1e-5
    double = criterion.double()(head.double(), features.double(), targets)
    assert double.dtype == torch.float64
    assert error(double.detach(), expected) < 1e-6  # the head's variances were rounded to float32


def test_gradient_of_the_targets_is_each_classs_loss() -> None:
    head = make_head("identity")
    features, labels = near_own(head.means, 8)
    targets = dense(labels, 10).float().requires_grad_()
    GaussianMixtureLoss(0.3, 0.0, reduction="sum")(head, features, targets).backward()
    reference = Reference(head, features)
    each = [reference.loss(torch.full((8,), k), margin=0.3, reduction="none") for k in range(10)]
    assert targets.grad is not None
    assert error(targets.grad, torch.stack(each, 1).detach()) < LIMIT


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_tracked_variances_take_shares(covariance: Any) -> None:
    means = 5 * torch.randn(4, 3, generator=generator(1)) + 100
    features = means[0] + 2 * torch.randn(40, 3, generator=generator(2))
    targets = dense(torch.zeros(40), 4)
    targets[:, 2] *= 1e-3  # 0.01 of an image or so in all
    targets /= targets.sum(1, keepdim=True)
    head = GaussianMixtureHead(
        3, 4, covariance=covariance, variances="tracked", means=means, variance_momentum=0.25, initial_variances=2.0
    )
    GaussianMixtureLoss()(head, features, targets.float())
    squares = (features.double()[:, None] - means.double()).square()  # (N, K, D)
    sums, counts = (targets[:, :, None] * squares).sum(0), targets.sum(0)[:, None]
    assert counts[2] < 1
    if covariance == "shared-diagonal":
        sums, counts = sums.sum(0, keepdim=True), counts.sum(0, keepdim=True)
    newest = sums / counts
    newest = newest.mean(1, keepdim=True) if covariance == "isotropic" else newest
    weight = 0.25 * counts.clamp(max=1)
    expected = (1 - weight) * 2.0 + weight * newest
    torch.testing.assert_close(head.kept_variances.double(), expected, rtol=1e-5, atol=0)


def test_spread_of_no_image() -> None:
    counts, sums = spread(torch.zeros(0, 3), torch.ones(4, 3), torch.zeros(0, 4))
    assert not counts.any()
    assert not sums.any()


def test_estimated_priors_take_shares() -> None:
    head, labels = make_head("identity", priors="estimated"), torch.arange(24) % 10
    before = head.class_counts.clone()
    criterion, total = GaussianMixtureLoss(), torch.zeros(10, dtype=torch.float64)
    for make in (mixed, dense, mixed):
        targets = make(labels, 10).float()
        criterion(head, torch.randn(24, 16, generator=generator()), targets)
        total += targets.double().sum(0)
    criterion(head, torch.randn(24, 16, generator=generator()), labels)
    total += labels.bincount(minlength=10)
    seen = head.class_counts.double() + head.class_parts.double() / 2**32
    torch.testing.assert_close(seen, before + total, rtol=1e-7, atol=1e-7)
    log_p = head.log_priors()
    assert log_p is not None
    torch.testing.assert_close(log_p.exp().double(), (seen + 1) / (seen + 1).sum(), rtol=1e-5, atol=0)
    log_p_before = log_p.clone()
    moved = head.bfloat16().float().log_priors()
    assert moved is not None
    assert torch.equal(moved, log_p_before)  # counts are whole numbers: no type rounds them


def test_a_state_from_before_soft_targets_is_taken() -> None:
    head = make_head("identity", priors="estimated")
    state = head.state_dict()
    del state["class_parts"]
    other = make_head("identity", priors="estimated")
    other.class_parts += 5
    torch.nn.Sequential(other).load_state_dict({f"0.{name}": tensor for name, tensor in state.items()})
    assert not other.class_parts.any()


def test_evaluation_observes_nothing() -> None:
    head = make_head("diagonal", "tracked", priors="estimated")
    features, labels = near_own(head.means, 20)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    GaussianMixtureLoss().eval()(head, features, dense(labels, 10).float())
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft"])
def test_mean_over_an_empty_batch_is_zero(soft: bool) -> None:
    for covariance in COVARIANCES:
        head = make_head(covariance)
        features = torch.zeros(0, 16, requires_grad=True)
        targets = torch.zeros(0, 10) if soft else torch.zeros(0, dtype=torch.int64)
        loss = GaussianMixtureLoss(label_smoothing=0.1)(head, features, targets)
        loss.backward()
        assert loss.item() == 0
        assert head.means.grad is not None
        assert not head.means.grad.any()


def loss(targets: Any) -> Callable[[], Any]:
    head = make_head("identity", classes=3, features=4)
    return lambda: GaussianMixtureLoss()(head, torch.zeros(2, 4), targets)


HALF = [0.5, 0.5, 0.0]
CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "classes": (loss(torch.ones(2, 4) / 4), "soft targets must have the shape (2, 3), got (2, 4)."),
    "images": (loss(torch.ones(3, 3) / 3), "soft targets must have the shape (2, 3), got (3, 3)."),
    "below 0": (loss(torch.tensor([HALF, [1.5, -0.5, 0.0]])), "soft targets must be at least 0, got -0.5."),
    "sum": (loss(torch.tensor([HALF, [0.5, 0.5, 0.5]])), "soft targets must sum to 1 in each row, got 1.5."),
    "nan": (loss(torch.tensor([HALF, [torch.nan, 0, 1]])), "soft targets must sum to 1 in each row, got nan."),
    "whole numbers": (loss(torch.tensor([[0, 1, 0]] * 2)), "labels must have the shape (2,), got (2, 3)."),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    run, message = CASES[case]
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == message


def test_sixteen_bit_targets_may_be_rounded() -> None:
    head = make_head("identity", classes=10)
    features, labels = near_own(head.means, 24)
    targets = dense(labels, 10)
    torch.testing.assert_close(
        GaussianMixtureLoss()(head, features, targets.bfloat16()),
        GaussianMixtureLoss()(head, features, targets.float()),
        rtol=1e-2,
        atol=0,
    )


def test_a_sharded_head_refuses_soft_targets() -> None:
    """Before anything travels: the processes need not run for this."""
    head = ShardedGaussianMixtureHead.__new__(ShardedGaussianMixtureHead)
    torch.nn.Module.__init__(head)
    head.features, head.classes = 4, 3
    with pytest.raises(InputError) as caught:
        GaussianMixtureLoss()(head, torch.zeros(2, 4), torch.ones(2, 3) / 3)
    assert str(caught.value) == "targets of a sharded head must be int64 labels (2,), got soft ones (2, 3)."
