"""The L-GM loss by explicit (N, K, D) tensors and autograd in float64, and heads and features to compare it on."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.techniques.gaussian_mixture import GaussianMixtureHead

FAMILIES = [
    ("identity", "fixed"),
    *((covariance, variances) for covariance in ("isotropic", "shared-diagonal", "diagonal")
      for variances in ("fixed", "learned", "tracked")),
]  # fmt: skip
COVARIANCES = ["identity", "isotropic", "shared-diagonal", "diagonal"]
SPREAD = 0.4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def directions(classes: int, features: int, norm2: float, seed: int = 0) -> Tensor:
    """Means in random directions, each with ‖μ‖² = norm2."""
    drawn = torch.randn(classes, features, generator=generator(seed))
    found: Tensor = F.normalize(drawn, dim=1) * norm2**0.5
    return found


def make_head(
    covariance: str,
    variances: str = "fixed",
    *,
    priors: str = "uniform",
    classes: int = 10,
    features: int = 16,
    norm2: float = 1.0,
    means: Tensor | None = None,
    **options: Any,
) -> GaussianMixtureHead:
    """A head whose variances, where there are any, lie in 0.5..1.5 and differ; counts and ℓ are not the first ones."""
    shape = {
        "identity": (),
        "isotropic": (classes, 1),
        "shared-diagonal": (1, features),
        "diagonal": (classes, features),
    }[covariance]
    given: Any = torch.rand(classes, generator=generator(7)) + 0.5 if priors == "given" else priors
    head = GaussianMixtureHead(
        features,
        classes,
        covariance=covariance,  # type: ignore[arg-type]
        variances=variances,  # type: ignore[arg-type]
        initial_variances=torch.rand(shape, generator=generator(8)) + 0.5 if shape else 1.0,
        priors=given,
        means=directions(classes, features, norm2) if means is None else means,
        **options,
    )
    if priors == "estimated":
        head.class_counts.copy_(torch.randint(0, 9, (classes,), generator=generator(9)))
    if variances == "learned":
        with torch.no_grad():
            head.log_variances.add_(0.2 * torch.randn(head.log_variances.shape, generator=generator(10)))
    return head


def near_own(means: Tensor, images: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    labels = torch.randint(0, len(means), (images,), generator=generator(seed))
    noise = torch.randn(images, means.shape[1], generator=generator(seed + 1))
    return means.detach()[labels] + SPREAD * noise, labels


class Reference:
    """The parameters of a head in float64, and the loss as explicit tensors."""

    def __init__(self, head: GaussianMixtureHead, features: Tensor) -> None:
        self.x = features.detach().double().requires_grad_()
        self.means = head.means.detach().double().requires_grad_()
        self.leaves = {"features": self.x, "means": self.means}
        floor = head.variance_floor
        if head.variances == "learned":
            self.logs = head.log_variances.detach().double().requires_grad_()
            self.leaves["log_variances"] = self.logs
            start = ((head.initial_variances.double() - floor) / (1 - floor)).log()
            moved = self.logs - self.logs.mean() + start.mean() if head.unit_volume else self.logs
            variance = floor + (1 - floor) * moved.exp()
        else:
            variance = torch.maximum(head.kept_variances.double(), torch.tensor(floor).double())
        self.variance = variance.expand(head.classes, head.features)
        p = torch.full((head.classes,), 1.0, dtype=torch.float64)  # log p is left out where priors are uniform
        if head.priors == "given":
            p = head.given_log_priors.double().exp()
        elif head.priors == "estimated":
            p = (head.class_counts.double() + 1) / (head.class_counts.double() + 1).sum()
        self.log_p = p.log()

    def distances(self) -> Tensor:
        """d, (N, K)."""
        return ((self.x[:, None] - self.means[None]) ** 2 / self.variance[None]).sum(2) / 2

    def logits(self) -> Tensor:
        """z, (N, K)."""
        return -self.distances() - self.variance.log().sum(1) / 2 + self.log_p

    def loss(
        self,
        labels: Tensor,
        *,
        margin: float = 0.0,
        likelihood_weight: float = 0.0,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> Tensor:
        """Cross entropy over the modified logits, with tiny losses kept, plus the likelihood term."""
        classes = len(self.means)
        counted = labels != ignore_index
        labels = labels.where(counted, torch.tensor(0))
        hot = F.one_hot(labels, classes).bool()
        distances = self.distances()
        z = self.logits() - margin * distances * hot
        own = z[hot]
        others = z.masked_fill(hot, -torch.inf)
        # −log softmax; for the own class in the form that keeps what lies below float64's rounding of 1.
        minus_log = torch.where(
            hot, torch.logaddexp((others - own[:, None]).logsumexp(1), own.new_zeros(()))[:, None], -z.log_softmax(1)
        )
        weights = torch.ones(classes) if class_weights is None else torch.as_tensor(class_weights)
        weights = weights.double()
        targets = (1 - label_smoothing) * hot.double() + label_smoothing / classes
        entropy = (targets * weights * minus_log).sum(1) * counted
        volume = self.variance.log().sum(1)[labels] / 2
        likelihood = likelihood_weight * (distances[hot] + volume) * counted
        if reduction == "none":
            return entropy + likelihood
        if reduction == "sum":
            return (entropy + likelihood).sum()
        return entropy.sum() / weights[labels][counted].sum() + likelihood.sum() / counted.sum()

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.leaves, torch.autograd.grad(loss, list(self.leaves.values())), strict=True))


def measured(
    head: GaussianMixtureHead, features: Tensor, loss_of: Callable[[Tensor], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The value of a loss of features, and the gradients of its sum."""
    x = features.detach().clone().requires_grad_()
    loss = loss_of(x)
    leaves = {"features": x, "means": head.means}
    if head.variances == "learned":
        leaves["log_variances"] = head.log_variances
    grads = torch.autograd.grad(loss.sum(), list(leaves.values()))
    return loss.detach(), dict(zip(leaves, grads, strict=True))


def error(actual: Tensor, expected: Tensor) -> float:
    """‖actual − expected‖ / ‖expected‖; below 1e-30, where float32 ends, both count as 0."""
    assert actual.shape == expected.shape
    difference = (actual.double() - expected).norm().item()
    found: float = difference / max(expected.norm().item(), 1e-30)
    return found


def applied(criterion: Any, head: GaussianMixtureHead, labels: Tensor, features: Tensor) -> Any:
    """The criterion of the features, which stand last: for `partial`."""
    return criterion(head, features, labels)
