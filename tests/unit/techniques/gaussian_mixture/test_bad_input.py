"""Bad input is refused with one line that names the argument, the rule and the value."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import make_head
from torch import nn

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture import (
    FeatureGaussians,
    GaussianMixtureHead,
    GaussianMixtureLoss,
    ShardedGaussianMixtureHead,
)

NAN = float("nan")


def head(**options: Any) -> Callable[[], object]:
    return lambda: GaussianMixtureHead(**{"features": 4, "classes": 3} | options)


def criterion(*args: Any, **options: Any) -> Callable[[], object]:
    return lambda: GaussianMixtureLoss(*args, **options)


def loss(features: Any = None, labels: Any = None, **options: Any) -> Callable[[], object]:
    x = torch.zeros(2, 4) if features is None else features
    y = torch.tensor([0, 2]) if labels is None else labels
    return lambda: GaussianMixtureLoss(**options)(make_head("identity", classes=3, features=4), x, y)


def fit(features: Any = None, labels: Any = None, **options: Any) -> Callable[[], object]:
    x = torch.zeros(2, 4) if features is None else features
    y = torch.tensor([0, 2]) if labels is None else labels
    return lambda: FeatureGaussians(**{"features": 4, "classes": 3} | options).partial_fit(x, y)


BROKEN = torch.tensor([[0, NAN, 1, 2], [float("inf"), -float("inf"), 0, 0]])

CASES: dict[str, tuple[Callable[[], object], str]] = {
    "no feature": (head(features=0), "features must be at least 1, got 0."),
    "one class": (head(classes=1), "classes must be at least 2, got 1."),
    "floor 0": (head(variance_floor=0.0), "variance_floor must be in (0, 1), got 0.0."),
    "floor below 0": (head(variance_floor=-1e-4), "variance_floor must be in (0, 1), got -0.0001."),
    "floor 1": (head(variance_floor=1.0), "variance_floor must be in (0, 1), got 1.0."),
    "floor nan": (head(variance_floor=NAN), "variance_floor must be in (0, 1), got nan."),
    "momentum 0": (head(variance_momentum=0.0), "variance_momentum must be in (0, 1], got 0.0."),
    "covariance": (
        head(covariance="diagonl"),
        'unknown covariance "diagonl". Did you mean "diagonal"? Known: identity, isotropic, shared-diagonal, diagonal.',
    ),
    "variances": (
        head(covariance="diagonal", variances="learnt"),
        'unknown variances "learnt". Did you mean "learned"? Known: fixed, learned, tracked.',
    ),
    "means": (
        head(means="kaimin"),
        'unknown initialisation of the means "kaimin". Did you mean "kaiming"? Known: kaiming, xavier.',
    ),
    "means' shape": (head(means=torch.zeros(4, 3)), "means' shape must be (3, 4), got (4, 3)."),
    "learned identity": (head(variances="learned"), "variances must be fixed for identity, got learned."),
    "tracked identity": (head(variances="tracked"), "variances must be fixed for identity, got tracked."),
    "priors' name": (
        head(priors="unifrm"),
        'unknown priors "unifrm". Did you mean "uniform"? Known: uniform, estimated.',
    ),
    "priors' shape": (head(priors=[0.5, 0.5]), "priors' shape must be (3,), got (2,)."),
    "prior 0": (head(priors=[0.5, 0.5, 0.0]), "priors must be above 0, got 0.0."),
    "prior below 0": (head(priors=torch.tensor([2.0, -0.5, 1.0])), "priors must be above 0, got -0.5."),
    "variance 0": (
        head(covariance="diagonal", initial_variances=0.0),
        "initial_variances must be above variance_floor 0.0001, finite, got 0.0.",
    ),
    "variances' shape": (
        head(covariance="isotropic", initial_variances=torch.ones(4)),
        "initial_variances must broadcast to (3, 1), got (4,).",
    ),
    "variance of identity": (head(initial_variances=2.0), "initial_variances must be 1 for identity, got 2.0."),
    "features to the head": (
        lambda: make_head("identity", classes=3, features=4)(torch.zeros(2, 5)),
        "features must have the shape (N, 4), got (2, 5).",
    ),
    "images to the head": (
        lambda: make_head("identity", classes=3, features=4)(torch.zeros(2, 4, 1, 1)),
        "features must have the shape (N, 4), got (2, 4, 1, 1).",
    ),
    "margin below 0": (criterion(-0.1), "margin must be at least 0 and finite, got -0.1."),
    "margin nan": (criterion(NAN), "margin must be at least 0 and finite, got nan."),
    "weight below 0": (criterion(0.1, -1.0), "likelihood_weight must be at least 0 and finite, got -1.0."),
    "smoothing 1": (criterion(label_smoothing=1), "label_smoothing must be in [0, 1), got 1."),
    "smoothing below 0": (criterion(label_smoothing=-0.1), "label_smoothing must be in [0, 1), got -0.1."),
    "reduction": (criterion(reduction="avg"), "reduction must be mean, sum or none, got avg."),
    "class weight below 0": (
        criterion(class_weights=[1.0, -1.0]),
        "class_weights must be a vector of finite numbers of at least 0, got [1.0, -1.0].",
    ),
    "class weights' length": (loss(class_weights=[1.0, 1.0]), "class_weights must be 3 numbers, got 2."),
    "features to the loss": (loss(torch.zeros(2, 5)), "features must have the shape (N, 4), got (2, 5)."),
    "label too large": (loss(labels=torch.tensor([0, 3])), "labels must be in 0..2, got 3."),
    "label below 0": (loss(labels=torch.tensor([-1, 3])), "labels must be in 0..2, got -1."),
    "label not ignored": (loss(labels=torch.tensor([0, -100]), ignore_index=255), "labels must be in 0..2, got -100."),
    "float labels": (loss(labels=torch.tensor([0.0, 1.0])), "labels must be of type int64, got float32."),
    "int32 labels": (
        loss(labels=torch.tensor([0, 1], dtype=torch.int32)),
        "labels must be of type int64, got int32.",
    ),
    "too many labels": (loss(labels=torch.tensor([0, 1, 2])), "labels must have the shape (2,), got (3,)."),
    "labels of two dimensions": (
        loss(labels=torch.tensor([[0], [1]])),
        "labels must have the shape (2,), got (2, 1).",
    ),
    "broken features": (loss(BROKEN), "features must be finite, got 3 of 8 infinite or not a number."),
    "fit no feature": (fit(features=0 * torch.zeros(1), labels=None), "features must have the shape (N, 4), got (1,)."),
    "fit shrinkage": (fit(shrinkage=1.5), "shrinkage must be in [0, 1], got 1.5."),
    "fit one class": (fit(classes=1), "classes must be at least 2, got 1."),
    "fit float labels": (fit(labels=torch.tensor([0.0, 1.0])), "labels must be int64 (2,), got float32 (2,)."),
    "fit labels' shape": (fit(labels=torch.tensor([0])), "labels must be int64 (2,), got int64 (1,)."),
    "fit label": (fit(labels=torch.tensor([-1, 3])), "labels must be in 0..2, got -1..3."),
    "fit broken features": (fit(BROKEN), "features must be finite, got 3 of 8 that are not."),
    "fit unseen class": (
        lambda: FeatureGaussians(4, 3).partial_fit(torch.zeros(2, 4), torch.tensor([0, 2])).means(),
        "partial_fit must see every class, got no image of 1 of 3: 1.",
    ),
    "fit to a head": (
        lambda: FeatureGaussians(4, 2).partial_fit(torch.zeros(2, 4), torch.tensor([0, 1])).to_head("shared"),  # type: ignore[arg-type]
        'unknown covariance "shared". Did you mean "shared-diagonal"? '
        "Known: identity, isotropic, shared-diagonal, diagonal.",
    ),
    "sharded alone": (
        lambda: ShardedGaussianMixtureHead(4, 3),
        "ShardedGaussianMixtureHead needs torch.distributed: call init_process_group first.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_messages(case: str) -> None:
    make, message = CASES[case]
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message


def test_a_head_that_is_none() -> None:
    with pytest.raises(InputError, match=r"^head must be a GaussianMixtureHead, got Linear\.$"):
        GaussianMixtureLoss()(nn.Linear(3, 4), torch.zeros(2, 3), torch.tensor([0, 1]))
