"""A classifier head of Gaussians in place of the last linear layer. N images, K classes, D features."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from truelift.errors import InputError, known, real, require, unknown_name, whole
from truelift.techniques.devices import widest
from truelift.techniques.exchange import processes
from truelift.techniques.gaussian_mixture.separation import logits, separate, weighted_logit_sum, wide_type
from truelift.techniques.gaussian_mixture.soft import distances, spread

Covariance = Literal["identity", "isotropic", "shared-diagonal", "diagonal"]
Variances = Literal["fixed", "learned", "tracked"]
Initialisation = Literal["kaiming", "xavier"]

# Parts of an image, from soft targets, are counted in whole units: their sum then depends on no order, so replicas stay
# equal, and moving the head to another type leaves it alone.
_UNITS = 2**32


class Separation(NamedTuple):
    """Where features lie between their own class's Gaussian and all others; each (N,)."""

    others: Tensor
    """log Σ_{k≠y} exp z_k over the logits z of `GaussianMixtureHead`."""
    distance: Tensor
    """d_y, at least 0."""
    half_log_volume: Tensor | None
    """½·log|Σ_y|; None for 0."""
    log_prior: Tensor | None
    """log p_y; None where priors are uniform."""


class GaussianMixtureHead(nn.Module):
    """Logits from the distances to one Gaussian a class; takes the place of the last `nn.Linear(D, K)`.

    Formula:
        d_k = ½·(x − μ_k)ᵀ Σ_k⁻¹ (x − μ_k)
        z_k = −d_k − ½·log|Σ_k| + log p_k

    The softmax of z is the posterior of the class under the mixture Σ_k p_k·N(μ_k, Σ_k). The logits need no label and
    are the same in training and evaluation; the margin belongs to `GaussianMixtureLoss`.

    Args:
        features: D, at least 1.
        classes: K, at least 2.
        covariance: Σ_k. identity; isotropic: a number of its own for each class; shared-diagonal: one diagonal for all
            classes; diagonal: one for each class.
        variances: fixed stay at `initial_variances`. learned are exp of a parameter. tracked are a moving average of
            the squared distances to the own mean, which `GaussianMixtureLoss` updates in training mode.
        variance_floor: No variance goes below it; in (0, 1). Learned ones are (1 − floor)·exp(ℓ) + floor, so that the
            gradient does not end there.
        unit_volume: Learned variances: the mean of ℓ over all classes and features stays what it was in the beginning,
            0 for variances of 1. Without it the loss as published falls without end when features, means and variances
            shrink together.
        variance_momentum: Tracked variances: weight of the newest batch, in (0, 1].
        initial_variances: Above the floor, a number or a tensor that broadcasts to (K, 1) for isotropic, (1, D) for
            shared-diagonal and (K, D) for diagonal covariance; 1 for identity.
        priors: p. uniform leaves log p = −log K out of the logits, for which it is the same; estimated counts the
            labels that the loss sees in training mode, soft ones by their shares; or K numbers above 0, normalised
            here.
        means: Where the means begin: kaiming, normal with variance 2/D; xavier, uniform in ±√(6/(D + K)); or a tensor
            (K, D). `FeatureGaussians.to_head` begins from a pass over data.

    Shapes:
        Input (N, D); output (N, K), float32 whatever the input (float64 for float64).

    Raises:
        InputError: An argument is out of range, or features do not have D columns.

    Example:
        >>> from truelift import GaussianMixtureLoss
        >>> head = GaussianMixtureHead(512, 10)
        >>> criterion = GaussianMixtureLoss(margin=0.3, likelihood_weight=0.1)
        >>> loss = criterion(head, backbone(images), labels)
        >>> predicted = head(backbone(images)).argmax(1)

    Source:
        Wan, Zhong, Li, Chen, "Rethinking Feature Distribution for Loss Functions in Image Classification", CVPR 2018,
        arXiv 1803.02988, equations 4 to 8. There Σ_k is learned without a constraint; `unit_volume` and the floor
        differ from it on purpose. Unlike the paper's ½·x² forms, Σ⁻¹ is also in the likelihood term.
    """

    initial_variances: Tensor
    kept_variances: Tensor
    class_counts: Tensor
    class_parts: Tensor
    given_log_priors: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        covariance: Covariance = "identity",
        variances: Variances = "fixed",
        variance_floor: float = 1e-4,
        unit_volume: bool = True,
        variance_momentum: float = 0.05,
        initial_variances: Tensor | float = 1.0,
        priors: Literal["uniform", "estimated"] | Tensor | Sequence[float] = "uniform",
        means: Initialisation | Tensor = "kaiming",
    ) -> None:
        super().__init__()
        check_sizes(features, classes)
        real("variance_floor", variance_floor, lambda v: 0 < v < 1, "in (0, 1)")
        real("variance_momentum", variance_momentum, lambda v: 0 < v <= 1, "in (0, 1]")
        known("covariance", covariance, get_args(Covariance))
        known("variances", variances, get_args(Variances))
        require("variances", variances, covariance != "identity" or variances == "fixed", "fixed for identity")
        self.features = features
        self.classes = classes
        self.covariance = covariance
        self.variances = variances
        self.variance_floor = variance_floor
        self.unit_volume = unit_volume
        self.variance_momentum = variance_momentum
        self._initial_means = means.detach().clone() if isinstance(means, Tensor) else means
        if isinstance(means, Tensor):
            require("means' shape", tuple(means.shape), means.shape == (classes, features), f"({classes}, {features})")
        else:
            known("initialisation of the means", means, get_args(Initialisation))
        self.means = nn.Parameter(torch.empty(classes, features))

        shape = {
            "identity": (1, 1),
            "isotropic": (classes, 1),
            "shared-diagonal": (1, features),
            "diagonal": (classes, features),
        }[covariance]
        # Learned variances keep the volume that they began with.
        self.register_buffer(
            "initial_variances", self._initial(initial_variances, shape), persistent=variances == "learned"
        )
        if variances == "learned":
            self.log_variances = nn.Parameter(torch.empty(shape))
        else:
            self.register_buffer("kept_variances", torch.empty(shape), persistent=covariance != "identity")

        self.priors = priors if isinstance(priors, str) else "given"
        if self.priors not in ("uniform", "estimated", "given"):
            raise unknown_name("priors", self.priors, ("uniform", "estimated"))
        if self.priors == "estimated":
            self.register_buffer("class_counts", torch.zeros(classes, dtype=torch.int64))
            self.register_buffer("class_parts", torch.zeros(classes, dtype=torch.int64))
            self.register_load_state_dict_pre_hook(_without_parts)  # type: ignore[no-untyped-call]
        elif self.priors == "given":
            given = torch.as_tensor(priors, dtype=torch.float32)
            require("priors' shape", tuple(given.shape), given.shape == (classes,), f"({classes},)")
            require("priors", given.min().item(), bool((given > 0).all() and given.isfinite().all()), "above 0")
            self.register_buffer("given_log_priors", (given / given.sum()).log())
        self.reset_parameters()

    def _initial(self, variances: Tensor | float, shape: tuple[int, int]) -> Tensor:
        if not isinstance(variances, Tensor):
            real("initial_variances", variances, math.isfinite, "a tensor, or a number, above variance_floor, finite")
        given = torch.as_tensor(variances, dtype=torch.float32)
        try:
            given = given.expand(shape).clone()
        except RuntimeError:
            raise InputError(f"initial_variances must broadcast to {shape}, got {tuple(given.shape)}.") from None
        above = bool((given > self.variance_floor).all() and given.isfinite().all())
        require("initial_variances", given.min().item(), above, f"above variance_floor {self.variance_floor}, finite")
        require(
            "initial_variances", variances, self.covariance != "identity" or bool((given == 1).all()), "1 for identity"
        )
        return given

    def _initial_logs(self) -> Tensor:
        """ℓ of the beginning: where (1 − floor)·exp(ℓ) + floor gives the initial variances."""
        floor = self.variance_floor
        logs: Tensor = ((self.initial_variances - floor) / (1 - floor)).log()
        return logs

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the means anew and put the variances to their beginning."""
        if isinstance(self._initial_means, Tensor):
            self.means.copy_(self._initial_means)
        elif self._initial_means == "kaiming":
            nn.init.normal_(self.means, std=math.sqrt(2 / self.features))
        else:
            nn.init.xavier_uniform_(self.means)
        if self.variances == "learned":
            self.log_variances.copy_(self._initial_logs())
        else:
            self.kept_variances.copy_(self.initial_variances)
        if self.priors == "estimated":
            self.class_counts.zero_()
            self.class_parts.zero_()

    def variance(self) -> Tensor:
        """σ²: (1, 1) for identity, (K, 1) isotropic, (1, D) shared-diagonal, (K, D) diagonal; with its gradient."""
        if self.variances != "learned":
            kept: Tensor = self.kept_variances.clamp(min=self.variance_floor)
            return kept
        log = self.log_variances.to(wide_type(self.log_variances))
        if self.unit_volume:
            log = log - log.mean() + self._initial_logs().mean()
        return (1 - self.variance_floor) * log.exp() + self.variance_floor

    def log_priors(self) -> Tensor | None:
        """Log p, (K,), or None where it is uniform. Estimated: (n_k + 1) / (Σ n + K), n the labels seen."""
        if self.priors == "estimated":
            seen = self.class_counts.float() + self.class_parts.float() / _UNITS + 1
            return (seen / seen.sum()).log()
        return self.given_log_priors if self.priors == "given" else None

    def half_log_volumes(self) -> Tensor:
        """½·log|Σ_k|, (K,) or (1,) where it is the same for all."""
        variance = self.variance()
        return 0.5 * variance.log().sum(1) * (self.features / variance.shape[1])

    def forward(self, features: Tensor) -> Tensor:
        """z, the logits without margin: from (N, D) to (N, K)."""
        self.check_features(features)
        return logits(features, self.means, self._precisions(), self._bias())

    def separate(self, features: Tensor, labels: Tensor) -> Separation:
        """What the loss needs, in memory far below N·K numbers where there are many classes.

        Args:
            features: (N, D).
            labels: int64 (N,), in 0..K-1.
        """
        others, distance = separate(features, self.means, self._precisions(), self._bias(), labels)
        unit = self.covariance == "identity"
        half_log_volume = None if unit else self.half_log_volumes().expand(self.classes)[labels]
        log_priors = self.log_priors()
        return Separation(others, distance, half_log_volume, None if log_priors is None else log_priors[labels])

    def distances(self, features: Tensor, shares: Tensor) -> Tensor:
        """The distances d to every class, (N, K); see `soft.distances`.

        Args:
            features: (N, D).
            shares: (N, K), soft targets.
        """
        return distances(features, self.means, self._precisions(), shares)

    def logit_sum(self, features: Tensor, weights: Tensor) -> Tensor:
        """Σ_k weights_k·z_k, (N,), without the N·K logits; for label smoothing."""
        return weighted_logit_sum(features, self.means, self._precisions(), self._bias(), weights)

    @torch.no_grad()
    def observe(self, features: Tensor, labels: Tensor, counted: Tensor) -> None:
        """Update tracked variances and estimated priors with a batch; `GaussianMixtureLoss` does so in training mode.

        Where torch.distributed runs, the batches of all processes count, so that replicas stay equal: every process
        must call it. A class without an image in the batch keeps its variances.

        Args:
            features: (N, D).
            labels: int64 (N,), in 0..K-1.
            counted: bool (N,); the other images count nowhere.
        """
        if self.priors != "estimated" and self.variances != "tracked":
            return
        counts = torch.zeros(self.classes, dtype=torch.int64, device=labels.device)
        counts.index_add_(0, labels, counted.long())
        _sum_over_processes(counts)
        if self.priors == "estimated":
            self.class_counts += counts
        if self.variances != "tracked":
            return
        squares = (features.float() - self.means[labels].float()).square() * counted[:, None]
        sums = torch.zeros_like(self.means, dtype=torch.float32).index_add_(0, labels, squares)
        _sum_over_processes(sums)
        self._move_variances(counts, sums)

    @torch.no_grad()
    def observe_shares(self, features: Tensor, shares: Tensor) -> None:
        """As `observe`, for soft targets: an image counts in each class by its share.

        A class that has less than one image of the batch in all moves its variances less, in proportion.

        Args:
            features: (N, D).
            shares: (N, K).
        """
        if self.priors != "estimated" and self.variances != "tracked":
            return
        if self.priors == "estimated":
            units = (shares.to(widest(shares.device)) * _UNITS).round().long().sum(0)
            _sum_over_processes(units)
            units += self.class_parts
            self.class_counts += units // _UNITS
            self.class_parts.copy_(units % _UNITS)
        if self.variances != "tracked":
            return
        counts, sums = spread(features, self.means, shares)
        _sum_over_processes(counts)
        _sum_over_processes(sums)
        self._move_variances(counts, sums)

    def _move_variances(self, counts: Tensor, sums: Tensor) -> None:
        """Towards those of the newest batch: from each class's images, (K,), and sums of squares, (K, D)."""
        kept, images = self.kept_variances, counts[:, None]
        if kept.shape[0] == 1:
            sums, images = sums.sum(0, keepdim=True), images.sum(0, keepdim=True)
        if kept.shape[1] == 1:
            sums = sums.mean(1, keepdim=True)
        weight: float | Tensor = self.variance_momentum
        if images.is_floating_point():
            weight = self.variance_momentum * images.clamp(max=1)
            newest = sums / torch.where(images > 0, images, 1)
        else:
            newest = sums / images.clamp(min=1)
        before = kept.to(torch.promote_types(kept.dtype, newest.dtype))
        kept.copy_(torch.lerp(before, torch.where(images > 0, newest, before), weight))

    def log_likelihood(self, features: Tensor) -> Tensor:
        """Natural logarithm of N(x; μ_k, Σ_k), (N, K), with the −(D/2)·log 2π that logits leave out."""
        z: Tensor = self(features) - 0.5 * self.features * math.log(2 * math.pi)
        log_priors = self.log_priors()
        return z if log_priors is None else z - log_priors

    def mixture_log_likelihood(self, features: Tensor) -> Tensor:
        """Natural logarithm of Σ_k p_k·N(x; μ_k, Σ_k), (N,): low for a feature unlike all classes."""
        log_priors = self.log_priors()
        prior = -math.log(self.classes) if log_priors is None else log_priors
        return torch.logsumexp(self.log_likelihood(features) + prior, 1)

    def to_linear(self) -> nn.Linear:
        """The linear layer with the same posteriors: weight Σ⁻¹μ, bias −½·μᵀΣ⁻¹μ + log p.

        Raises:
            InputError: The classes differ in covariance, so that the posteriors are no softmax of linear functions.
        """
        if self.covariance in ("isotropic", "diagonal"):
            raise InputError(f"to_linear needs a covariance shared by all classes, got {self.covariance}.")
        layer = nn.Linear(self.features, self.classes, device=self.means.device, dtype=self.means.dtype)
        with torch.no_grad():
            layer.weight.copy_(self.means / self.variance())
            layer.bias.copy_(-0.5 * torch.linalg.vecdot(layer.weight, self.means))
            if (log_priors := self.log_priors()) is not None:
                layer.bias.add_(log_priors)
        return layer

    def parameter_groups(
        self, lr: float, *, means_factor: float = 2.0, variances_factor: float = 0.01
    ) -> list[dict[str, Any]]:
        """Groups for a torch optimizer as the papers have them: means at 2·lr; variances at 0.01·lr, not decayed.

        Args:
            lr: Of the rest of the network, at least 0.
            means_factor: What the means' is times that, at least 0.
            variances_factor: The same of learned variances.

        Raises:
            InputError: One of them is negative or not finite.
        """
        factors = {"lr": lr, "means_factor": means_factor, "variances_factor": variances_factor}
        for name, value in factors.items():
            real(name, value, lambda v: 0 <= v < math.inf, "at least 0, finite")
        groups: list[dict[str, Any]] = [{"params": [self.means], "lr": means_factor * lr}]
        if self.variances == "learned":
            groups.append({"params": [self.log_variances], "lr": variances_factor * lr, "weight_decay": 0.0})
        return groups

    def extra_repr(self) -> str:
        """The options that differ between two heads of the same size."""
        return f"features={self.features}, classes={self.classes}, covariance={self.covariance}, {self.variances}"

    def check_features(self, features: Tensor) -> None:
        """Refuse features that are not (N, D).

        Raises:
            InputError: They are not.
        """
        check_features(features, self.features)

    def _precisions(self) -> Tensor | None:
        """1/σ², or None where it is 1."""
        return None if self.covariance == "identity" else 1 / self.variance()

    def _bias(self) -> Tensor | None:
        """−½·log|Σ_k| + log p_k, (K,), or None where it is 0."""
        log_priors = self.log_priors()
        if self.covariance == "identity":
            return log_priors
        volumes = -self.half_log_volumes().expand(self.classes)
        return volumes if log_priors is None else volumes + log_priors


def check_sizes(features: int, classes: int, fewest: int = 2) -> None:
    """Refuse sizes of a head that no machine can hold.

    Raises:
        InputError: They are out of range.
    """
    whole("features", features, 1, 10**7)
    whole("classes", classes, fewest, 10**9)


def check_features(features: Tensor, size: int) -> None:
    """Refuse features that are not (N, `size`)."""
    if features.ndim != 2 or features.shape[1] != size:
        raise InputError(f"features must have the shape (N, {size}), got {tuple(features.shape)}.")


def _sum_over_processes(tensor: Tensor) -> None:
    if processes() > 1:
        torch.distributed.all_reduce(tensor)


def _without_parts(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A state from before there were soft targets has no parts of images."""
    counts = state.get(f"{prefix}class_counts")
    if counts is not None:
        state.setdefault(f"{prefix}class_parts", torch.zeros_like(counts))
