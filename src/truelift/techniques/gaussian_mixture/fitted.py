"""Gaussians fitted to the features of a network that is trained already. N images, K classes, D features."""

import math

import torch
from torch import Tensor

from truelift.errors import InputError, known, real
from truelift.techniques.gaussian_mixture.head import Covariance, GaussianMixtureHead, check_features, check_sizes


class FeatureGaussians:
    """A Gaussian a class, all with one full covariance, from passes over features: no retraining.

    Sums are kept in float64 around the first batch's mean, so that the order of batches hardly matters and a common
    offset costs no digits.

    Args:
        features: D, at least 1.
        classes: K, at least 2.
        shrinkage: Share s in [0, 1] of the covariance replaced by a round one of the same trace:
            (1 − s)·Σ + s·tr(Σ)/D·I, so that few images or dead features leave it invertible.

    Example:
        >>> gaussians = FeatureGaussians(512, 10)
        >>> for images, labels in batches:
        ...     gaussians.partial_fit(backbone(images), labels)
        >>> unlike_training = -gaussians.relative_mahalanobis(backbone(new_images))

    Source:
        Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
        2018, arXiv 1807.03888 (shared covariance); Ren et al., "A Simple Fix to Mahalanobis Distance for Improving
        Near-OOD Detection", 2021, arXiv 2106.09022 (the relative score).
    """

    def __init__(self, features: int, classes: int, *, shrinkage: float = 1e-3) -> None:
        check_sizes(features, classes)
        real("shrinkage", shrinkage, lambda s: 0 <= s <= 1, "in [0, 1]")
        self.features = features
        self.classes = classes
        self.shrinkage = shrinkage
        self._origin: Tensor | None = None
        self._counts = torch.zeros(classes, dtype=torch.float64)
        self._sums = torch.zeros(classes, features, dtype=torch.float64)
        self._products = torch.zeros(features, features, dtype=torch.float64)
        self._squares = torch.zeros(classes, features, dtype=torch.float64)

    @torch.no_grad()
    def partial_fit(self, features: Tensor, labels: Tensor) -> "FeatureGaussians":
        """Take in a batch: features (N, D), labels int64 (N,) in 0..K-1.

        Raises:
            InputError: The shapes do not fit, a label is out of range, or a feature is not finite.
        """
        check_features(features, self.features)
        if labels.dtype != torch.int64 or labels.shape != features.shape[:1]:
            kind = str(labels.dtype).removeprefix("torch.")
            raise InputError(f"labels must be int64 ({len(features)},), got {kind} {tuple(labels.shape)}.")
        x, labels = features.double().cpu(), labels.cpu()
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise InputError(f"labels must be in 0..{self.classes - 1}, got {int(labels.min())}..{int(labels.max())}.")
        if not (finite := x.isfinite()).all():
            raise InputError(f"features must be finite, got {int((~finite).sum())} of {x.numel()} that are not.")
        if len(labels) == 0:
            return self
        if self._origin is None:
            self._origin = x.mean(0)
        x = x - self._origin
        self._counts.index_add_(0, labels, torch.ones_like(x[:, 0]))
        self._sums.index_add_(0, labels, x)
        self._squares.index_add_(0, labels, x.square())
        self._products += x.T @ x
        return self

    @property
    def counts(self) -> Tensor:
        """Images of each class so far, float64 (K,)."""
        return self._counts

    def means(self) -> Tensor:
        """μ, float64 (K, D).

        Raises:
            InputError: A class has not been seen.
        """
        return self._centred_means() + self._fitted_origin()

    def covariance(self) -> Tensor:
        """Σ, float64 (D, D): the mean over all images of (x − μ_y)(x − μ_y)ᵀ, shrunk."""
        centred = self._centred_means()
        return self._shrunk((self._products - (self._counts[:, None] * centred).T @ centred) / self._counts.sum())

    def log_likelihood(self, features: Tensor) -> Tensor:
        """Natural logarithm of N(x; μ_k, Σ), float64 (N, K)."""
        x = self._relative(features)
        return _log_normal(x, self._centred_means(), self.covariance())

    def mixture_log_likelihood(self, features: Tensor) -> Tensor:
        """Natural logarithm of Σ_k p_k·N(x; μ_k, Σ), float64 (N,); p the classes' shares of the images."""
        return torch.logsumexp(self.log_likelihood(features) + (self._counts / self._counts.sum()).log(), 1)

    def relative_mahalanobis(self, features: Tensor) -> Tensor:
        """min_k (x − μ_k)ᵀΣ⁻¹(x − μ_k) − (x − μ₀)ᵀΣ₀⁻¹(x − μ₀), float64 (N,); large for features unlike all classes.

        μ₀ and Σ₀ are the mean and the covariance of all images together, whatever their class.
        """
        x = self._relative(features)
        images = self._counts.sum()
        background = (self._sums.sum(0) / images)[None]
        of_all = self._shrunk(self._products / images - background.T @ background)
        own = _mahalanobis(x, self._centred_means(), self.covariance()).amin(1)
        return own - _mahalanobis(x, background, of_all)[:, 0]

    def to_head(self, covariance: Covariance = "shared-diagonal") -> GaussianMixtureHead:
        """A `GaussianMixtureHead` with these means, variances and class shares.

        The full covariance has no place there: its diagonal is taken, over all images, or for each class; isotropic is
        the mean of a class's diagonal.

        Raises:
            InputError: A class has not been seen.
        """
        centred = self._centred_means()
        by_class = (self._squares / self._counts[:, None] - centred.square()).clamp(min=0)
        floor = 1e-4
        variances: dict[Covariance, Tensor] = {
            "identity": torch.ones(()),
            "isotropic": by_class.mean(1, keepdim=True),
            "shared-diagonal": self.covariance().diagonal()[None],
            "diagonal": by_class,
        }
        known("covariance", covariance, variances)
        return GaussianMixtureHead(
            self.features,
            self.classes,
            covariance=covariance,
            variance_floor=floor,
            initial_variances=variances[covariance].float().clamp(min=2 * floor),
            priors=self._counts,
            means=self.means().float(),
        )

    def _fitted_origin(self) -> Tensor:
        unseen = (self._counts == 0).nonzero()[:, 0].tolist()
        if self._origin is None or unseen:
            named = ", ".join(map(str, unseen[:5])) + (", …" if len(unseen) > 5 else "")
            raise InputError(
                f"partial_fit must see every class, got no image of {len(unseen)} of {self.classes}: {named}."
            )
        return self._origin

    def _centred_means(self) -> Tensor:
        self._fitted_origin()
        return self._sums / self._counts[:, None]

    def _relative(self, features: Tensor) -> Tensor:
        check_features(features, self.features)
        return features.detach().double().cpu() - self._fitted_origin()

    def _shrunk(self, covariance: Tensor) -> Tensor:
        round_one = torch.eye(self.features, dtype=torch.float64) * covariance.diagonal().mean()
        return torch.lerp(covariance, round_one, self.shrinkage)


def _mahalanobis(x: Tensor, means: Tensor, covariance: Tensor) -> Tensor:
    """(x − μ_k)ᵀΣ⁻¹(x − μ_k), (N, K)."""
    root = _root(covariance)
    white, white_means = (torch.linalg.solve_triangular(root, rows.T, upper=False).T for rows in (x, means))
    squares: Tensor = torch.cdist(white, white_means, compute_mode="donot_use_mm_for_euclid_dist").square()
    return squares


def _log_normal(x: Tensor, means: Tensor, covariance: Tensor) -> Tensor:
    """Natural logarithm of N(x; μ_k, Σ), (N, K)."""
    half_log_volume = _root(covariance).diagonal().log().sum()
    constant = 0.5 * x.shape[1] * math.log(2 * math.pi)
    return -0.5 * _mahalanobis(x, means, covariance) - half_log_volume - constant


def _root(covariance: Tensor) -> Tensor:
    """Cholesky's root, lower triangular.

    Raises:
        InputError: The covariance has none: too few images, or features that never vary, and no shrinkage.
    """
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        raise InputError("the features' covariance is singular: give more images, or a shrinkage above 0.")
    return root
