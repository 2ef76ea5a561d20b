"""The large-margin Gaussian mixture (L-GM) loss: arXiv 1803.02988."""

from truelift.techniques.gaussian_mixture.fitted import FeatureGaussians
from truelift.techniques.gaussian_mixture.head import Covariance, GaussianMixtureHead, Variances
from truelift.techniques.gaussian_mixture.loss import GaussianMixtureLoss, MixtureTerms
from truelift.techniques.gaussian_mixture.schedules import Schedule, constant, doubling, ramp
from truelift.techniques.gaussian_mixture.sharded import ShardedGaussianMixtureHead

__all__ = [
    "Covariance",
    "FeatureGaussians",
    "GaussianMixtureHead",
    "GaussianMixtureLoss",
    "MixtureTerms",
    "Schedule",
    "ShardedGaussianMixtureHead",
    "Variances",
    "constant",
    "doubling",
    "ramp",
]
