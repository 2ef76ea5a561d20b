"""The L-GM loss as an objective, and the head that it needs. N images, D features, K classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor

from truelift.data import Batch
from truelift.models import Classifier
from truelift.options import NONNEGATIVE, POSITIVE, Conflict, Only
from truelift.techniques.gaussian_mixture import (
    Covariance,
    GaussianMixtureHead,
    GaussianMixtureLoss,
    Schedule,
    Variances,
    constant,
    doubling,
    ramp,
)
from truelift.training.objectives.base import (
    Around,
    ClassGaussians,
    Objective,
    ParameterRule,
    StepLosses,
    error_percent,
)
from truelift.training.objectives.heads import classifier_of, embedded
from truelift.training.objectives.softmax import SoftmaxOptions


@dataclass(frozen=True, kw_only=True)
class MixtureOptions(SoftmaxOptions):
    """Options of the L-GM loss."""

    margin: Annotated[float, NONNEGATIVE, Only("name", "gaussian-mixture")] = 0.1
    """gaussian-mixture: the margin's α, at least 0."""

    margin_schedule: Annotated[Literal["constant", "doubling", "ramp"], Only("name", "gaussian-mixture")] = "constant"
    """doubling: α doubles every schedule_epochs, up to margin_cap. ramp: from 0 to α in schedule_epochs."""

    margin_cap: Annotated[float, NONNEGATIVE, Only("margin_schedule", "doubling")] = 0.3
    """doubling: the largest α; at least margin."""

    likelihood_weight: Annotated[float, NONNEGATIVE, Only("name", "gaussian-mixture")] = 0.1
    """gaussian-mixture: λ, the weight of the likelihood term, at least 0."""

    likelihood_schedule: Annotated[Literal["constant", "ramp"], Only("name", "gaussian-mixture")] = "constant"
    """ramp: from 0 to λ in schedule_epochs."""

    schedule_epochs: Annotated[
        float, POSITIVE, Only("margin_schedule", "doubling", "ramp"), Only("likelihood_schedule", "ramp")
    ] = 30.0
    """Length of the ramps, or between two doublings, in epochs; above 0."""

    covariance: Annotated[Covariance, Only("name", "gaussian-mixture")] = "identity"
    """gaussian-mixture: each class's covariance: identity, isotropic, diagonal, or shared-diagonal for all classes."""

    variances: Annotated[Variances, Only("name", "gaussian-mixture")] = "fixed"
    """fixed at 1; learned, their volume held; tracked, a moving average of what the batches show."""

    priors: Annotated[Literal["uniform", "estimated"], Only("name", "gaussian-mixture")] = "uniform"
    """gaussian-mixture: class priors, uniform or from the labels seen."""

    means_lr_factor: Annotated[float, NONNEGATIVE, Only("name", "gaussian-mixture")] = 2.0
    """Learning rate of the means, as a multiple of the network's; at least 0."""

    variances_lr_factor: Annotated[float, NONNEGATIVE, Only("name", "gaussian-mixture")] = 0.01
    """Learning rate of learned variances, as a multiple of the network's; at least 0."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        capped = self.margin_schedule != "doubling" or self.margin <= self.margin_cap
        yield "margin_cap", capped, f"at least objective.margin, {self.margin}"
        fits = self.covariance != "identity" or self.variances == "fixed"
        yield "variances", fits, "fixed for objective.covariance identity"


class GaussianMixture(Objective):
    """The large-margin Gaussian mixture loss over a network whose classifier is a `GaussianMixtureHead`.

    Args:
        criterion: The loss.
        means_lr_factor: Learning rate of the means, as a multiple of the network's.
        variances_lr_factor: The same for learned variances, which are never decayed.
    """

    def __init__(self, criterion: GaussianMixtureLoss, *, means_lr_factor: float, variances_lr_factor: float) -> None:
        super().__init__()
        self.criterion = criterion
        self.means_lr_factor = means_lr_factor
        self.variances_lr_factor = variances_lr_factor

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """{"margin": cross entropy with the margin, "likelihood": λ times the likelihood term}."""
        head, features = head_of(network), embedded(network, batch.images)
        error = error_percent(head(features.detach()), batch.labels)
        terms = self.criterion.terms(head, features, batch.labels)
        return StepLosses({"margin": terms.margin, "likelihood": terms.likelihood}, error)

    def set_step(self, step: int) -> None:
        """Move the margin and λ."""
        self.criterion.set_step(step)

    def parameter_rules(self, network: Classifier) -> list[ParameterRule]:
        """The papers' multipliers for means and variances."""
        head = head_of(network)
        rules = [ParameterRule([head.means], self.means_lr_factor, decay=True)]
        if head.variances == "learned":
            rules.append(ParameterRule([head.log_variances], self.variances_lr_factor, decay=False))
        return rules

    def log_likelihood(self, network: Classifier, features: Tensor) -> Tensor:
        """Log Σ_k p_k·N(x; μ_k, Σ_k), (N,)."""
        return head_of(network).mixture_log_likelihood(features)

    def gaussians(self, network: Classifier) -> ClassGaussians:
        """The head's."""
        head = head_of(network)
        means = head.means.float()
        return ClassGaussians(means, head.variance().expand_as(means).float())


def head_of(network: Classifier) -> GaussianMixtureHead:
    """The network's Gaussians, behind a linear layer where there is one."""
    head = classifier_of(network)
    assert isinstance(head, GaussianMixtureHead), "`make_head` made it"
    return head


def make_head(options: MixtureOptions, features: int, classes: int) -> GaussianMixtureHead:
    """The head that `options` describe."""
    return GaussianMixtureHead(
        features, classes, covariance=options.covariance, variances=options.variances, priors=options.priors
    )


def build(options: MixtureOptions, around: Around) -> GaussianMixture:
    """The objective that `options` describe."""
    steps = max(1, round(options.schedule_epochs * around.steps_per_epoch))
    margins: dict[str, Schedule] = {
        "constant": constant(options.margin),
        "doubling": doubling(options.margin, every_steps=steps, cap=max(options.margin_cap, options.margin)),
        "ramp": ramp(options.margin, steps=steps),
    }
    weight = options.likelihood_weight
    return GaussianMixture(
        GaussianMixtureLoss(
            margins[options.margin_schedule],
            constant(weight) if options.likelihood_schedule == "constant" else ramp(weight, steps=steps),
            label_smoothing=options.label_smoothing,
            # Labels are the data's own, and features that are not finite are the loop's to tell: as divergence, or a
            # step left out, or one that overflowed float16.
            check_values=False,
        ),
        means_lr_factor=options.means_lr_factor,
        variances_lr_factor=options.variances_lr_factor,
    )
