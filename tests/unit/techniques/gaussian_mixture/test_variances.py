"""Variances and priors over many steps: learned ones stay bounded, tracked and estimated ones arrive at the truth."""

from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import COVARIANCES, generator, make_head, near_own
from torch import Tensor, nn

from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss

COLLAPSED = -1.5  # mean log variance; 0 in the beginning


def train(covariance: Any, *, unit_volume: bool) -> list[Tensor]:
    """Variances at each of 1,000 steps of SGD on features that the network can shrink; ends at their collapse."""
    draw = generator()
    labels = torch.arange(64) % 4
    inputs = torch.randn(64, 8, generator=draw) + 2 * torch.randn(4, 8, generator=draw)[labels]
    network = nn.Linear(8, 8)
    nn.init.orthogonal_(network.weight, generator=draw)
    head = GaussianMixtureHead(
        8,
        4,
        covariance=covariance,
        variances="learned",
        unit_volume=unit_volume,
        variance_floor=1e-8,
        means=torch.randn(4, 8, generator=draw) / 2,
    )
    criterion = GaussianMixtureLoss(0.3, 0.1)
    optimizer = torch.optim.SGD(
        [{"params": network.parameters()}, *head.parameter_groups(0.02, variances_factor=1.0)], lr=0.02, momentum=0.9
    )
    variances = [head.variance().detach()]
    while len(variances) <= 1000 and variances[-1].log().mean() > COLLAPSED:
        optimizer.zero_grad()
        criterion(head, network(inputs), labels).backward()
        optimizer.step()
        variances.append(head.variance().detach())
    return variances


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_learned_variances_stay_bounded(covariance: str) -> None:
    variances = torch.stack(train(covariance, unit_volume=True))
    assert len(variances) == 1001
    assert variances[-1].log().std() > 0.1  # they are learned
    assert variances.min() >= 1e-3
    assert variances.max() <= 1e3
    assert variances.log().mean((1, 2)).abs().max() < 1e-4


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_learned_variances_collapse_without_unit_volume(covariance: str) -> None:
    """The loss as published has no minimum: what the test above holds, this one loses."""
    assert train(covariance, unit_volume=False)[-1].log().mean() <= COLLAPSED


def sampled(images: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, labels, means and variances (4, 3) of Gaussians that differ in all."""
    draw = generator(1)
    means = 5 * torch.randn(4, 3, generator=draw)
    variances = 0.2 + 3 * torch.rand(4, 3, generator=draw)
    labels = torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), images, replacement=True, generator=draw)
    noise = torch.randn(images, 3, generator=draw)
    return means[labels] + noise * variances[labels].sqrt(), labels, means, variances


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_tracked_variances_converge_to_the_true_ones(covariance: Any) -> None:
    features, labels, means, variances = sampled(400 * 256)
    head = GaussianMixtureHead(3, 4, covariance=covariance, variances="tracked", means=means, variance_momentum=0.02)
    criterion = GaussianMixtureLoss(0.3, 0.1)
    for x, y in zip(features.split(256), labels.split(256), strict=True):
        criterion(head, x, y)
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    expected = {
        "isotropic": variances.mean(1, keepdim=True),
        "shared-diagonal": (shares[:, None] * variances).sum(0, keepdim=True),
        "diagonal": variances,
    }[covariance]
    torch.testing.assert_close(head.variance(), expected, rtol=0.15, atol=0)


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_one_update_by_hand(covariance: Any) -> None:
    features, labels, means, _ = sampled(60)
    labels = labels.where(labels != 2, 1)  # class 2 has no image, and keeps its variance
    head = GaussianMixtureHead(
        3, 4, covariance=covariance, variances="tracked", means=means, variance_momentum=0.25, initial_variances=2.0
    )
    labels[:7] = -100
    GaussianMixtureLoss()(head, features, labels)
    squares = [(features[labels == k] - means[k]) ** 2 for k in range(4)]
    if covariance == "shared-diagonal":
        newest = torch.cat(squares).mean(0, keepdim=True)
    else:
        newest = torch.stack([s.mean(0) if len(s) else torch.full((3,), 2.0) for s in squares])
        newest = newest.mean(1, keepdim=True) if covariance == "isotropic" else newest
    torch.testing.assert_close(head.kept_variances, 0.75 * 2.0 + 0.25 * newest)


def test_estimated_priors_converge_to_the_frequencies() -> None:
    features, labels, means, _ = sampled(20000)
    head = GaussianMixtureHead(3, 4, priors="estimated", means=means)
    log_p = head.log_priors()
    assert log_p is not None
    torch.testing.assert_close(log_p.exp(), torch.full((4,), 0.25))
    criterion = GaussianMixtureLoss()
    ignored = torch.arange(len(labels)) % 3 == 0
    for x, y in zip(features.split(500), labels.where(~ignored, -100).split(500), strict=True):
        criterion(head, x, y)
    counts = labels[~ignored].bincount(minlength=4)
    assert torch.equal(head.class_counts, counts)
    log_p = head.log_priors()
    assert log_p is not None
    torch.testing.assert_close(log_p.exp(), (counts + 1) / (counts.sum() + 4))
    torch.testing.assert_close(log_p.exp(), torch.tensor([0.1, 0.2, 0.3, 0.4]), rtol=0.05, atol=0)


@pytest.mark.parametrize("covariance", COVARIANCES[1:])
def test_evaluation_changes_nothing(covariance: str) -> None:
    """The criterion's mode decides, and predictions change nothing in either."""
    head = make_head(covariance, "tracked", priors="estimated")
    features, labels = near_own(head.means, 20)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    criterion = GaussianMixtureLoss()
    criterion.eval()(head, features, labels)
    head(features)
    head.mixture_log_likelihood(features)
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)
    criterion.train()(head, features, labels)
    assert not torch.equal(head.kept_variances, before["kept_variances"])
    assert not torch.equal(head.class_counts, before["class_counts"])
