"""The L-GM loss as an objective, and the head that it needs."""

from torch import Tensor, nn

from truelift.models import Classifier, Embedded
from truelift.techniques.gaussian_mixture import (
    GaussianMixtureHead,
    GaussianMixtureLoss,
    Schedule,
    constant,
    doubling,
    ramp,
)
from truelift.training.experiment import ObjectiveOptions
from truelift.training.objective import Objective, ParameterRule, error_percent


class GaussianMixture(Objective):
    """The large-margin Gaussian mixture loss over a network whose classifier is a `GaussianMixtureHead`.

    Args:
        criterion: The loss.
        means_lr_factor: The means' learning rate is so many times the network's.
        variances_lr_factor: Likewise for learned variances, which are never decayed.
    """

    def __init__(self, criterion: GaussianMixtureLoss, *, means_lr_factor: float, variances_lr_factor: float) -> None:
        super().__init__()
        self.criterion = criterion
        self.means_lr_factor = means_lr_factor
        self.variances_lr_factor = variances_lr_factor

    def forward(self, network: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """{"margin": cross entropy with the margin, "likelihood": λ times the likelihood term}."""
        head, features = head_of(network), embedded(network, images)
        self.error = error_percent(head(features.detach()), labels)
        terms = self.criterion.terms(head, features, labels)
        return {"margin": terms.margin, "likelihood": terms.likelihood}

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


def head_of(network: Classifier) -> GaussianMixtureHead:
    """The network's Gaussians, behind a linear layer where there is one."""
    head = classifier_of(network)
    assert isinstance(head, GaussianMixtureHead), "make_objective puts it there"
    return head


def classifier_of(network: Classifier) -> nn.Module:
    """From what `embedded` gives to logits."""
    classifier: nn.Module = network.head.classifier if isinstance(network.head, Embedded) else network.head
    return classifier


def embedded(network: Classifier, images: Tensor) -> Tensor:
    """The features that the classifier sees, (N, D)."""
    features = network.features(images)
    if isinstance(network.head, Embedded):
        features = network.head.embedding(features)
    return features


def make_head(options: ObjectiveOptions, features: int, classes: int) -> GaussianMixtureHead:
    """The head that `options` describe."""
    return GaussianMixtureHead(
        features, classes, covariance=options.covariance, variances=options.variances, priors=options.priors
    )


def make_mixture(options: ObjectiveOptions, steps_per_epoch: int) -> GaussianMixture:
    """The objective that `options` describe."""
    steps = max(1, round(options.schedule_epochs * steps_per_epoch))
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
        ),
        means_lr_factor=options.means_lr_factor,
        variances_lr_factor=options.variances_lr_factor,
    )
