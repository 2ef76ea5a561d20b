"""Digits: gradients and values over norms of the means, numbers of classes and kinds of features; extreme scales."""

from functools import partial

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import (
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

from truelift.techniques.gaussian_mixture import GaussianMixtureLoss

FEATURES = 16
LEARNED = [family for family in FAMILIES if "learned" in family or "identity" in family]
NORMS = [1.0, 1e3, 1e6]
# (α, λ, ε)
OPTIONS = [(0.0, 0.0, 0.0), (0.3, 0.0, 0.0), (0.0, 0.1, 0.0), (0.3, 0.1, 0.1)]


def offset(classes: int, norm2: float) -> Tensor:
    """Means of norm 1 around a common point far away."""
    found: Tensor = directions(classes, FEATURES, 1.0, 3) + directions(1, FEATURES, norm2, 4)
    return found


def assert_close(
    covariance: str,
    variances: str,
    means: Tensor,
    options: list[tuple[float, float, float]],
    *,
    features: Tensor | None = None,
    value_limit: float | None = 1e-5,
    grad_limit: float = 1e-5,
) -> None:
    head = make_head(covariance, variances, priors="given", classes=len(means), means=means)
    near, labels = near_own(head.means, 8 if len(means) < 10000 else 4)
    features = near if features is None else features
    for margin, weight, smoothing in options if len(means) < 10000 else options[1::2]:
        reference = Reference(head, features)
        expected = reference.loss(labels, margin=margin, likelihood_weight=weight, label_smoothing=smoothing)
        criterion = GaussianMixtureLoss(margin, weight, label_smoothing=smoothing).eval()
        value, grads = measured(head, features, partial(applied, criterion, head, labels))
        case = f"α {margin}, λ {weight}, ε {smoothing}"
        if value_limit is not None:
            assert error(value, expected.detach()) < value_limit, case
        for name, grad in reference.gradients(expected).items():
            assert error(grads[name], grad) < grad_limit, f"{name}, {case}"


@pytest.mark.parametrize("classes", [2, 10, 10000])
@pytest.mark.parametrize("norm2", NORMS)
@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_float32_near_the_own_mean(covariance: str, variances: str, norm2: float, classes: int) -> None:
    # A shared diagonal is multiplied into features and means: digits of their difference go where it is small.
    limit = 1e-5
    assert_close(
        covariance, variances, directions(classes, FEATURES, norm2), OPTIONS, value_limit=limit, grad_limit=limit
    )


@pytest.mark.parametrize("classes", [2, 10, 10000])
@pytest.mark.parametrize("norm2", NORMS)
@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_float32_with_an_offset_that_all_means_share(
    covariance: str, variances: str, norm2: float, classes: int
) -> None:
    assert_close(covariance, variances, offset(classes, norm2), OPTIONS)


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("norm2", NORMS)
@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_float32_far_from_all_means(covariance: str, variances: str, norm2: float, classes: int) -> None:
    features = torch.randn(8, FEATURES, generator=generator(5)) * (norm2 / FEATURES) ** 0.5
    assert_close(covariance, variances, directions(classes, FEATURES, norm2), OPTIONS, features=features)


@pytest.mark.parametrize("classes", [2, 10, 10000])
@pytest.mark.parametrize("norm2", NORMS)
@pytest.mark.parametrize("shared_offset", [False, True])
@pytest.mark.parametrize(("covariance", "variances"), LEARNED)
def test_bfloat16_near_the_own_mean(
    covariance: str, variances: str, shared_offset: bool, norm2: float, classes: int
) -> None:
    means = offset(classes, norm2) if shared_offset else directions(classes, FEATURES, norm2)
    # Without λ nothing but logits far below remain where means lie far apart: a loss of 1e-20 and less.
    options = OPTIONS if shared_offset or norm2 == 1 else OPTIONS[2:]
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(covariance, variances, means, options, value_limit=None, grad_limit=0.01)


@pytest.mark.parametrize(
    ("norm2", "classes"), [(1.0, 10), (1.0, 1000), (10.0, 1000), (30.0, 1000), (1e3, 10), (1e6, 10), (1e6, 1000)]
)
@pytest.mark.parametrize(("covariance", "variances"), LEARNED)
def test_bfloat16_far_from_all_means(covariance: str, variances: str, norm2: float, classes: int) -> None:
    """Between 100 and 1e3 at 1,000 classes the nearest logits differ by less than bfloat16 tells apart: up to 11 %."""
    features = torch.randn(32, FEATURES, generator=generator(5)) * (norm2 / FEATURES) ** 0.5
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(
            covariance,
            variances,
            directions(classes, FEATURES, norm2),
            [(0.3, 0.1, 0.0)],
            features=features[:8],
            value_limit=0.01,
            grad_limit=0.01,
        )


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("classes", [2, 1000])
@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_finite_at_extreme_scales(
    covariance: str, variances: str, classes: int, scale: float, autocast: torch.dtype | None
) -> None:
    head = make_head(
        covariance, variances, priors="given", classes=classes, means=directions(classes, FEATURES, 16.0) * scale
    )
    near = near_own(head.means, 16)[0]
    far = torch.randn(16, FEATURES, generator=generator(2)) * scale
    features = torch.cat([near, far, head.means.detach()[:2]])
    labels = torch.randint(0, classes, (len(features),), generator=generator(3))
    labels[-2:] = torch.tensor([0, 1])
    with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
        assert (head.separate(features, labels).distance >= 0).all()
        priors = head.log_priors()
        assert priors is not None
        assert (head(features) <= priors - head.half_log_volumes()).all()  # no squared distance is negative
        assert head.log_likelihood(features).isfinite().all()
        assert head.mixture_log_likelihood(features).isfinite().all()
        for smoothing in (0.0, 0.1):
            criterion = GaussianMixtureLoss(0.3, 0.1, label_smoothing=smoothing).eval()
            value, grads = measured(head, features, partial(applied, criterion, head, labels))
            assert value.dtype == torch.float32
            assert value.isfinite()
            assert all(grad.isfinite().all() for grad in grads.values())


def test_float16_autocast_is_float32() -> None:
    head = make_head("diagonal")
    features, labels = near_own(head.means, 16)
    plain = GaussianMixtureLoss()(head, features, labels)
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(GaussianMixtureLoss()(head, features, labels), plain)
        assert torch.equal(head(features), head(features.float()))
