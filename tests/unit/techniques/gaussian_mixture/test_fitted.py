"""Gaussians fitted by passes over features against formulas on all features at once, and torch's distributions."""

from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import generator
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture import FeatureGaussians

CLASSES, FEATURES, SHRINKAGE = 3, 4, 0.1


def sample(images: int = 200, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    draw = generator(1)
    labels = torch.randint(0, CLASSES, (images,), generator=draw)
    means = 2 * torch.randn(CLASSES, FEATURES, generator=draw, dtype=torch.float64)
    mixing = torch.randn(FEATURES, FEATURES, generator=draw, dtype=torch.float64)
    noise = torch.randn(images, FEATURES, generator=draw, dtype=torch.float64)
    return means[labels] + noise @ mixing + offset, labels


def fitted(x: Tensor, labels: Tensor, batch: int = 32, shrinkage: float = SHRINKAGE) -> FeatureGaussians:
    gaussians = FeatureGaussians(FEATURES, CLASSES, shrinkage=shrinkage)
    for features, y in zip(x.split(batch), labels.split(batch), strict=True):
        assert gaussians.partial_fit(features, y) is gaussians
    return gaussians


def shrunk(covariance: Tensor, share: float = SHRINKAGE) -> Tensor:
    return (1 - share) * covariance + share * covariance.trace() / FEATURES * torch.eye(FEATURES, dtype=torch.float64)


def direct(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Means (K, D), and the covariance within classes, shrunk."""
    means = torch.stack([x[labels == k].mean(0) for k in range(CLASSES)])
    rows = [torch.outer(v - means[k], v - means[k]) for v, k in zip(x, labels, strict=True)]
    return means, shrunk(torch.stack(rows).mean(0))


def test_means_and_covariance() -> None:
    x, labels = sample()
    gaussians = fitted(x, labels)
    means, covariance = direct(x, labels)
    torch.testing.assert_close(gaussians.means(), means)
    torch.testing.assert_close(gaussians.covariance(), covariance)
    assert gaussians.counts.tolist() == labels.bincount(minlength=CLASSES).tolist()


def test_batches_and_their_order_do_not_matter() -> None:
    x, labels = sample()
    order = torch.randperm(len(x), generator=generator())
    one = fitted(x, labels, batch=200)
    for other in (fitted(x, labels, batch=1), fitted(x[order], labels[order], batch=7)):
        torch.testing.assert_close(other.means(), one.means(), rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(other.covariance(), one.covariance(), rtol=1e-11, atol=1e-11)
    before = one.covariance()
    one.partial_fit(x[:0], labels[:0])
    assert torch.equal(one.covariance(), before)


def test_a_large_common_offset_costs_no_digits() -> None:
    x, labels = sample()
    # Differences of float32 features near 1e4 are exact; so is their sum with the offset, once rounded to them.
    shifted = (x + 1e4).float()
    near, far = fitted(shifted.double() - 1e4, labels), fitted(shifted, labels)
    torch.testing.assert_close(far.means() - 1e4, near.means(), rtol=0, atol=1e-10)
    torch.testing.assert_close(far.covariance(), near.covariance(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        far.relative_mahalanobis(shifted), near.relative_mahalanobis(shifted.double() - 1e4), rtol=1e-8, atol=1e-8
    )


def test_relative_mahalanobis() -> None:
    x, labels = sample()
    new = 5 * torch.randn(9, FEATURES, generator=generator(3), dtype=torch.float64)
    means, covariance = direct(x, labels)
    inverse = covariance.inverse()
    background = shrunk(torch.cov(x.T, correction=0)).inverse()
    expected = [
        min((v - m) @ inverse @ (v - m) for m in means) - (v - x.mean(0)) @ background @ (v - x.mean(0)) for v in new
    ]
    torch.testing.assert_close(fitted(x, labels).relative_mahalanobis(new), torch.stack(expected))


def test_features_unlike_all_classes_score_higher() -> None:
    """An own class of small covariance, and a background of the means' spread."""
    draw = generator(2)
    labels = torch.arange(300) % CLASSES
    means = torch.tensor([[6.0, 0, 0, 0], [-6, 0, 0, 0], [0, 6, 0, 0]])
    x = means[labels] + torch.randn(300, FEATURES, generator=draw)
    gaussians = fitted(x[:200], labels[:200])
    between = torch.tensor([[0.0, 0, 0, 0], [0, -6, 0, 0], [6, 6, 0, 0]])
    unlike = gaussians.relative_mahalanobis(between)
    assert unlike.min() > gaussians.relative_mahalanobis(x[200:]).max()
    assert gaussians.mixture_log_likelihood(between).max() < gaussians.mixture_log_likelihood(x[200:]).min()


def test_likelihoods_are_torchs_distributions() -> None:
    x, labels = sample()
    gaussians = fitted(x, labels)
    means, covariance = direct(x, labels)
    normals = MultivariateNormal(means, covariance)
    new = torch.randn(9, FEATURES, generator=generator(3), dtype=torch.float64)
    torch.testing.assert_close(gaussians.log_likelihood(new), normals.log_prob(new[:, None]))
    mixture = MixtureSameFamily(Categorical(labels.bincount().double()), normals)
    torch.testing.assert_close(gaussians.mixture_log_likelihood(new), mixture.log_prob(new))


@pytest.mark.parametrize("covariance", ["identity", "isotropic", "shared-diagonal", "diagonal"])
def test_head(covariance: Any) -> None:
    x, labels = sample()
    head = fitted(x, labels).to_head(covariance)
    means, shared = direct(x, labels)
    by_class = torch.stack([x[labels == k].var(0, correction=0) for k in range(CLASSES)])
    expected = {
        "identity": torch.ones(1, 1),
        "isotropic": by_class.mean(1, keepdim=True),
        "shared-diagonal": shared.diagonal()[None],
        "diagonal": by_class,
    }[covariance]
    torch.testing.assert_close(head.means.double(), means, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(head.variance().double(), expected.double(), rtol=1e-6, atol=1e-6)
    log_p = head.log_priors()
    assert log_p is not None
    torch.testing.assert_close(log_p.exp(), labels.bincount() / len(labels))
    assert (head(x.float()).argmax(1) == labels).float().mean() > 0.5


def test_head_of_features_that_never_vary() -> None:
    labels = torch.arange(6) % CLASSES
    head = fitted(labels[:, None].expand(-1, FEATURES).float(), labels).to_head("diagonal")
    assert (head.variance() > 0).all()
    assert head(head.means.detach()).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", ["means", "covariance", "to_head"])
def test_every_class_must_be_seen(method: str) -> None:
    gaussians = FeatureGaussians(FEATURES, 9)
    x, labels = sample()
    with pytest.raises(
        InputError, match=r"^partial_fit must see every class, got no image of 9 of 9: 0, 1, 2, 3, 4, …"
    ):
        getattr(gaussians, method)()
    gaussians.partial_fit(x, labels.where(labels != 1, 8))
    with pytest.raises(
        InputError, match=r"^partial_fit must see every class, got no image of 6 of 9: 1, 3, 4, 5, 6, …"
    ):
        getattr(gaussians, method)()


def test_singular_covariance() -> None:
    x, labels = sample()
    x[:, 1] = 7.0  # a dead feature
    gaussians = fitted(x, labels, shrinkage=0.0)
    message = "^the features' covariance is singular: give more images, or a shrinkage above 0.$"
    with pytest.raises(InputError, match=message):
        gaussians.log_likelihood(x)
    with pytest.raises(InputError, match=message):
        gaussians.relative_mahalanobis(x)
    assert fitted(x, labels, shrinkage=1e-3).log_likelihood(x).isfinite().all()
