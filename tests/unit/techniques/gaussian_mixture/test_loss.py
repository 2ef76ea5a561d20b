"""The loss and its gradients, option by option, against explicit (N, K, D) tensors in float64."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.gaussian_mixture.mixture_cases import (
    COVARIANCES,
    FAMILIES,
    Reference,
    directions,
    error,
    generator,
    make_head,
    measured,
    near_own,
)

from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss

LIMIT = 1e-5


def assert_equals_reference(head: GaussianMixtureHead, criterion: GaussianMixtureLoss, **options: Any) -> None:
    """On features near their own mean and on features near none."""
    near, labels = near_own(head.means, 24)
    far = torch.randn(near.shape, generator=generator(3))
    if "ignore_index" in options:
        labels[::5] = options["ignore_index"]
    for features in (near, far):
        reference = Reference(head, features)
        expected = reference.loss(labels, **options)
        value, grads = measured(head, features, lambda x: criterion(head, x, labels))
        assert value.dtype == torch.float32
        assert error(value, expected.detach()) < LIMIT
        for name, grad in reference.gradients(expected.sum()).items():
            assert error(grads[name], grad) < LIMIT, name


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reference_is_cross_entropy_over_the_modified_logits(smoothing: float, reduction: str) -> None:
    head = make_head("diagonal", priors="given")
    features, labels = near_own(head.means, 24)
    labels[3] = -7
    reference = Reference(head, features)
    hot = F.one_hot(labels.clamp(min=0), 10)
    weight = torch.rand(10, generator=generator())
    options: Any = {"ignore_index": -7, "label_smoothing": smoothing, "reduction": reduction}
    expected = F.cross_entropy(
        reference.logits() - 0.3 * reference.distances() * hot, labels, weight=weight.double(), **options
    )
    actual = reference.loss(labels, margin=0.3, class_weights=weight.tolist(), **options)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
@pytest.mark.parametrize("priors", ["uniform", "given", "estimated"])
@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_equals_an_independent_loss(covariance: str, variances: str, priors: str, margin: float, weight: float) -> None:
    head = make_head(covariance, variances, priors=priors, norm2=4.0)
    criterion = GaussianMixtureLoss(margin, weight).eval()
    assert_equals_reference(head, criterion, margin=margin, likelihood_weight=weight)


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1},
        {"class_weights": [0.0, 0.5, 1.0, 2.0, 3.0, 0.1, 1.0, 1.0, 1.0, 4.0]},
        {"ignore_index": -100},
        {"ignore_index": 3},
        {
            "label_smoothing": 0.3,
            "class_weights": [0.0, 0.5, 1.0, 2.0, 3.0, 0.1, 1.0, 1.0, 1.0, 4.0],
            "ignore_index": 255,
        },
    ],
    ids=["smoothing", "weights", "ignore", "ignore a class", "all"],
)
def test_options_of_cross_entropy(covariance: str, variances: str, reduction: Any, options: dict[str, Any]) -> None:
    head = make_head(covariance, variances, priors="given", norm2=4.0)
    criterion = GaussianMixtureLoss(0.3, 0.1, reduction=reduction, **options).eval()
    assert_equals_reference(head, criterion, margin=0.3, likelihood_weight=0.1, reduction=reduction, **options)


def test_variances_without_unit_volume() -> None:
    head = make_head("diagonal", "learned", unit_volume=False, variance_floor=0.2)
    assert_equals_reference(head, GaussianMixtureLoss(0.3, 0.1), margin=0.3, likelihood_weight=0.1)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_losses_of_images_already_right_are_kept(covariance: str) -> None:
    """A difference of two log-sum-exps would round them to 0, and their gradients with them."""
    head = make_head(covariance, means=directions(10, 16, 40.0))
    features, labels = near_own(head.means, 24)
    reference = Reference(head, features)
    expected = reference.loss(labels, margin=0.1, reduction="none")
    assert 1e-28 < expected.max() < 1e-3
    value, grads = measured(head, features, lambda x: GaussianMixtureLoss(0.1, 0.0, reduction="none")(head, x, labels))
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-4, atol=0)
    for name, grad in reference.gradients(expected.sum()).items():
        assert error(grads[name], grad) < 1e-4


def test_terms_add_up_to_the_loss() -> None:
    head = make_head("diagonal", "learned", priors="given")
    features, labels = near_own(head.means, 24)
    criterion = GaussianMixtureLoss(0.3, 0.1)
    terms = criterion.terms(head, features, labels)
    torch.testing.assert_close(terms.margin + terms.likelihood, criterion(head, features, labels))
    reference = Reference(head, features)
    assert error(terms.margin, reference.loss(labels, margin=0.3)) < LIMIT


def test_mean_over_no_image_is_zero() -> None:
    head = make_head("isotropic", "tracked", priors="estimated")
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    features = torch.randn(4, 16, requires_grad=True)
    loss = GaussianMixtureLoss(0.3, 0.1)(head, features, torch.full((4,), -100))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert not features.grad.any()
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_float64_features_give_a_float64_loss(covariance: str) -> None:
    for head, limit in ((make_head(covariance), 1e-7), (make_head(covariance).double(), 1e-13)):
        features, labels = near_own(head.means.double(), 8)
        assert head(features).dtype == torch.float64
        assert GaussianMixtureLoss(0.25, 0.5)(head, features, labels).dtype == torch.float64
        assert error(head(features).detach(), Reference(head, features).logits().detach()) < limit


def test_check_values_can_be_left_out() -> None:
    head = make_head("identity")
    features = torch.full((2, 16), torch.inf)
    assert GaussianMixtureLoss(check_values=False)(head, features, torch.tensor([0, 1])).isnan()


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_grad_scaler(autocast: bool) -> None:
    """Two steps with scaled losses are two steps without, and a scaler sees no infinity."""
    moved = []
    for enabled in (True, False):
        head = make_head("diagonal", "learned")
        features, labels = near_own(head.means, 24)
        optimizer = torch.optim.SGD(head.parameter_groups(0.1))
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, enabled=enabled)
        for _ in range(2):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = GaussianMixtureLoss(0.3, 0.1)(head, features, labels)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        assert scaler.get_scale() == (2.0**16 if enabled else 1.0)
        moved.append(head.state_dict())
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-5, atol=1e-6)
