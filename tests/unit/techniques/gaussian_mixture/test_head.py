"""The head alone: posteriors, likelihoods, where it begins, what it hands to an optimizer."""

import math
from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import FAMILIES, directions, generator, make_head, near_own
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss


def components(head: GaussianMixtureHead) -> "Independent[Normal]":
    variance = head.variance().double().expand(head.classes, head.features)
    return Independent(Normal(head.means.double(), variance.sqrt()), 1)


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
@pytest.mark.parametrize("priors", ["uniform", "given", "estimated"])
def test_likelihoods_are_torchs_distributions(covariance: str, variances: str, priors: str) -> None:
    head = make_head(covariance, variances, priors=priors)
    features = torch.randn(20, 16, generator=generator())
    normals = components(head)
    torch.testing.assert_close(
        head.log_likelihood(features).double(), normals.log_prob(features.double()[:, None]), rtol=1e-5, atol=1e-5
    )
    log_p = head.log_priors()
    shares = torch.ones(10) if log_p is None else log_p.exp()
    mixture = MixtureSameFamily(Categorical(shares.double()), normals)
    torch.testing.assert_close(
        head.mixture_log_likelihood(features).double(), mixture.log_prob(features.double()), rtol=1e-5, atol=1e-5
    )
    posteriors = (normals.log_prob(features.double()[:, None]) + shares.log()).softmax(1)
    torch.testing.assert_close(head(features).softmax(1).double(), posteriors, rtol=1e-5, atol=1e-6)


def test_likelihood_is_a_multivariate_normals() -> None:
    head = make_head("shared-diagonal")
    features = torch.randn(20, 16, generator=generator())
    normal = MultivariateNormal(head.means[3].double(), head.variance()[0].double().diag())
    torch.testing.assert_close(
        head.log_likelihood(features)[:, 3].double(), normal.log_prob(features.double()), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("variances", ["fixed", "learned", "tracked"])
@pytest.mark.parametrize("covariance", ["identity", "shared-diagonal"])
@pytest.mark.parametrize("priors", ["uniform", "given", "estimated"])
def test_linear_layer_has_the_same_posteriors(covariance: str, variances: str, priors: str) -> None:
    if covariance == "identity":
        variances = "fixed"
    head = make_head(covariance, variances, priors=priors)
    features = torch.randn(20, 16, generator=generator())
    layer = head.to_linear()
    assert isinstance(layer, nn.Linear)
    torch.testing.assert_close(layer(features).softmax(1), head(features).softmax(1), rtol=1e-5, atol=1e-7)
    # Nothing but a number for each image, the same for all classes, lies between the logits.
    between = layer(features) - head(features)
    torch.testing.assert_close(between, between[:, :1].expand(-1, 10), rtol=1e-4, atol=1e-5)


def test_linear_layer_of_identity_covariance() -> None:
    head = make_head("identity", norm2=9.0)
    layer = head.to_linear()
    assert torch.equal(layer.weight, head.means)
    torch.testing.assert_close(layer.bias, torch.full((10,), -4.5))
    layer.weight.data.zero_()
    assert head.means.norm() > 1  # its own copy


@pytest.mark.parametrize("covariance", ["isotropic", "diagonal"])
def test_no_linear_layer_where_classes_differ_in_covariance(covariance: str) -> None:
    with pytest.raises(InputError, match=f"^to_linear needs a covariance shared by all classes, got {covariance}.$"):
        make_head(covariance).to_linear()


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_logits_are_the_same_in_training_and_evaluation(covariance: str, variances: str) -> None:
    """The margin is the loss's: a head that has just been trained with one predicts without it, and needs no label."""
    head = make_head(covariance, variances, priors="estimated")
    features, labels = near_own(head.means, 20)
    before = head.train()(features)
    assert torch.equal(head.eval()(features), before)
    assert torch.equal(head(features), before)  # calls leave no trace
    frozen = GaussianMixtureLoss(5.0, 0.1).eval()
    plain = GaussianMixtureLoss(0.0, 0.1).eval()
    assert frozen(head, features, labels) > plain(head, features, labels)
    assert torch.equal(head(features), before)


def test_where_means_begin() -> None:
    torch.manual_seed(0)
    kaiming = GaussianMixtureHead(200, 300).means
    assert kaiming.std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.02)
    xavier = GaussianMixtureHead(200, 300, means="xavier").means
    limit = (6 / 500) ** 0.5
    assert 0.99 * limit < xavier.abs().max() <= limit
    given = directions(3, 4, 2.0)
    head = GaussianMixtureHead(4, 3, means=given)
    assert torch.equal(head.means, given)


@pytest.mark.parametrize("variances", ["fixed", "learned", "tracked"])
@pytest.mark.parametrize(
    ("covariance", "shape"), [("isotropic", (3, 1)), ("shared-diagonal", (1, 4)), ("diagonal", (3, 4))]
)
def test_where_variances_begin(covariance: Any, variances: Any, shape: tuple[int, int]) -> None:
    given = torch.rand(shape, generator=generator()) + 0.1
    head = GaussianMixtureHead(
        4, 3, covariance=covariance, variances=variances, initial_variances=given, variance_floor=0.05
    )
    torch.testing.assert_close(head.variance(), given)
    with torch.no_grad():
        for name, tensor in head.state_dict().items():
            if name != "initial_variances":
                tensor.add_(1.0)
    head.reset_parameters()
    torch.testing.assert_close(head.variance(), given)


@pytest.mark.parametrize("variances", ["learned", "tracked"])
def test_no_variance_goes_below_the_floor(variances: Any) -> None:
    head = GaussianMixtureHead(4, 3, covariance="diagonal", variances=variances, variance_floor=0.25, unit_volume=False)
    with torch.no_grad():
        (head.log_variances if variances == "learned" else head.kept_variances).fill_(-50.0)
    torch.testing.assert_close(head.variance(), torch.full((3, 4), 0.25))


def test_unit_volume_keeps_the_mean_log_variance() -> None:
    head = make_head("diagonal", "learned", variance_floor=1e-6)
    begin = head.initial_variances.log().mean()
    with torch.no_grad():
        head.log_variances.add_(3 + torch.randn(head.log_variances.shape, generator=generator()))
    torch.testing.assert_close(head.variance().log().mean(), begin, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
@pytest.mark.parametrize("priors", ["uniform", "given", "estimated"])
def test_state_restores_the_logits(covariance: str, variances: str, priors: str) -> None:
    head = make_head(covariance, variances, priors=priors)
    other = GaussianMixtureHead(
        16,
        10,
        covariance=covariance,  # type: ignore[arg-type]
        variances=variances,  # type: ignore[arg-type]
        # Where the mean of ℓ is held is an option of the head; what moved is in its state.
        initial_variances=head.initial_variances if variances == "learned" else 1.0,
        priors=[1.0] * 10 if priors == "given" else priors,  # type: ignore[arg-type]
    )
    features = torch.randn(5, 16, generator=generator())
    assert not torch.equal(other(features), head(features))
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features), head(features))


@pytest.mark.parametrize("name", ["lr", "means_factor", "variances_factor"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, True])
def test_rates_of_parameter_groups_are_checked(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"{name} must be at least 0, finite, got"):
        make_head("diagonal", "learned").parameter_groups(**{"lr": 0.1, name: value})


def test_parameter_groups() -> None:
    head = make_head("diagonal", "learned")
    means, variances = head.parameter_groups(0.1)
    assert means["params"][0] is head.means
    assert means["lr"] == pytest.approx(0.2)
    assert variances["params"][0] is head.log_variances
    assert variances["lr"] == pytest.approx(0.001)
    assert variances["weight_decay"] == 0
    assert len(make_head("diagonal", "tracked").parameter_groups(0.1)) == 1
    held = {id(p) for group in head.parameter_groups(0.1) for p in group["params"]}
    assert held == {id(p) for p in head.parameters()}


def test_priors_are_normalised() -> None:
    head = GaussianMixtureHead(2, 4, priors=[1.0, 1.0, 2.0, 4.0])
    log_p = head.log_priors()
    assert isinstance(log_p, Tensor)
    torch.testing.assert_close(log_p, torch.tensor([1 / 8, 1 / 8, 1 / 4, 1 / 2]).log())
    x = torch.zeros(1, 2)
    torch.testing.assert_close(
        head.mixture_log_likelihood(x), (head(x) - math.log(2 * math.pi)).logsumexp(1), rtol=1e-6, atol=1e-6
    )
