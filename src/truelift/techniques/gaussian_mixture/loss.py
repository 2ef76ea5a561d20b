"""The large-margin Gaussian mixture loss. N images, K classes, D features."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError, real, require, whole
from truelift.techniques.devices import Late, answers_at_once
from truelift.techniques.gaussian_mixture import soft
from truelift.techniques.gaussian_mixture.head import GaussianMixtureHead
from truelift.techniques.gaussian_mixture.schedules import Schedule, constant
from truelift.techniques.gaussian_mixture.sharded import ShardedGaussianMixtureHead

Head = GaussianMixtureHead | ShardedGaussianMixtureHead
Reduction = Literal["mean", "sum", "none"]


class MixtureTerms(NamedTuple):
    """The two parts of the loss, reduced; their sum is the loss."""

    margin: Tensor
    """Cross entropy with the margin."""
    likelihood: Tensor
    """λ·(d_y + ½·log|Σ_y|)."""


class GaussianMixtureLoss(nn.Module):
    """Cross entropy with a margin over a `GaussianMixtureHead`, plus the likelihood term.

    Formula, for an image of class y, with d and z of `GaussianMixtureHead`:

        margin     = −log( exp(z_y − α·d_y) / (exp(z_y − α·d_y) + Σ_{k≠y} exp z_k) )
        likelihood = λ·(d_y + ½·log|Σ_y|)

    The first is computed as softplus(log Σ_{k≠y} exp z_k − z_y + α·d_y), which keeps the losses of images that are
    already right by far, where a difference of two large numbers would give 0.

    For soft targets t, the share of each class, both are the sum over y of t_y times the above: of mixup and CutMix, of
    a teacher's probabilities. A one-hot row is the hard label. With class weights c the mean divides the margin term by
    Σ_n Σ_y t_ny·c_y, as for hard labels; torch divides by N where targets are soft.

    Args:
        margin: α, at least 0, or a schedule of the steps made (`constant`, `doubling`, `ramp`).
        likelihood_weight: λ, at least 0 and finite.
        class_weights: (K,), at least 0: the weight of each class in the margin term, as in `torch.nn.CrossEntropyLoss`.
        label_smoothing: ε in [0, 1): share of the target spread evenly over all classes. The hard target keeps the
            margin: (1 − ε)·margin + (ε/K)·Σ_k −log softmax_k, over the logits with z_y − α·d_y in y's place.
        ignore_index: Images with this label count nowhere.
        reduction: mean over the images (weighted ones for the margin term, as torch does), sum, or none, (N,). The
            mean over no image is 0.
        check_values: Refuse features that are not finite, labels out of range and soft targets that are no
            distribution. It is left out inside `torch.compile`. On a GPU, where reading an answer would wait for the
            device, or everywhere with late: the loss of such values is NaN, and the error comes in a later call, or
            from `check`, which waits.

    Shapes:
        Features (N, D); targets int64 (N,), labels, or floating point (N, K), shares of at least 0 that sum to 1 (not
        for the sharded head); output a scalar, or (N,) for reduction none; float32.

    Raises:
        InputError: An argument is out of range or of the wrong shape or type.

    Example:
        >>> from truelift.techniques.gaussian_mixture import doubling
        >>> head = GaussianMixtureHead(512, classes=10)
        >>> criterion = GaussianMixtureLoss(margin=doubling(0.1, every_steps=5000, cap=0.3), likelihood_weight=0.1)
        >>> loss = criterion(head, features, labels)
        >>> loss.backward()
        >>> optimizer.step()
        >>> criterion.step()

    Source:
        arXiv 1803.02988, equations 9 to 13. Deviation: the paper's likelihood term has the priors too, a constant.
    """

    steps: Tensor
    """Optimizer steps made, as `step` counts them; saved."""
    margin: Tensor
    """α now."""
    likelihood_weight: Tensor
    """λ now."""
    class_weights: Tensor | None

    def __init__(
        self,
        margin: float | Schedule = 0.1,
        likelihood_weight: float | Schedule = 0.1,
        *,
        class_weights: Tensor | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        check_values: bool | Literal["late"] = True,
    ) -> None:
        super().__init__()
        self._schedules = {"margin": _schedule("margin", margin)}
        self._schedules["likelihood_weight"] = _schedule("likelihood_weight", likelihood_weight)
        real("label_smoothing", label_smoothing, lambda s: 0 <= s < 1, "in [0, 1)")
        whole("ignore_index", ignore_index, -(2**63), 2**63 - 1)
        if reduction not in ("mean", "sum", "none"):
            raise InputError(f"reduction must be mean, sum or none, got {reduction}.")
        weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        if weights is not None and not (weights.ndim == 1 and (weights >= 0).all() and weights.isfinite().all()):
            raise InputError(f"class_weights must be a vector of finite numbers of at least 0, got {class_weights}.")
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction = reduction
        require("check_values", check_values, check_values in (True, False, "late"), "True, False or late")
        self.check_values = check_values
        self._late = Late(_told)
        self.register_buffer("class_weights", weights, persistent=False)
        # Values as tensors: a number would be compiled in, and each change of it compiled anew.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("margin", torch.zeros(()), persistent=False)
        self.register_buffer("likelihood_weight", torch.zeros(()), persistent=False)
        self.set_step(0)
        # A function of the module that it is given: a copy of this one follows its own steps.
        self.register_load_state_dict_post_hook(_follow_steps)  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """One optimizer step is made: move the margin and λ on."""
        self.set_step(self._steps_made + 1)

    def set_step(self, steps: int) -> None:
        """Set the margin and λ to their values after `steps` steps, at least 0."""
        whole("steps", steps, 0)
        self._steps_made = steps  # beside the tensor, which would have to be waited for
        self.steps.fill_(steps)
        for name, schedule in self._schedules.items():
            value = schedule(steps)
            if isinstance(value, str) or not 0 <= value < float("inf"):
                raise InputError(f"{name} must be at least 0 and finite, got {value} at step {steps}.")
            getattr(self, name).fill_(value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves to a device or type. The margin and λ never are of less than 32 bits, nor rounded twice."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in self._schedules:
            value = getattr(self, name)
            setattr(self, name, value.to(torch.promote_types(value.dtype, torch.float32)))
        self.set_step(self._steps_made)
        return self

    def forward(self, head: Head, features: Tensor, targets: Tensor) -> Tensor:
        """The loss: margin + likelihood."""
        terms = self.terms(head, features, targets)
        return terms.margin + terms.likelihood

    def terms(self, head: Head, features: Tensor, targets: Tensor) -> MixtureTerms:
        """The two parts of the loss. In training mode the head also observes the batch (`GaussianMixtureHead.observe`).

        Raises:
            InputError: Features or targets do not fit the head, or their values are refused.
        """
        self._check(head, features, targets)
        if targets.is_floating_point():
            assert isinstance(head, GaussianMixtureHead), "checked"
            return self._soft_terms(head, features, targets)
        labels = targets
        counted = labels != self.ignore_index
        off = None
        if self._checks_late(features):
            # On a GPU an index out of range ends the whole process. Such an image's loss is NaN, until it is told.
            off = counted & _outside(labels, head.classes)
            labels = torch.where(off, 0, labels)
        labels = torch.where(counted, labels, 0)
        if self.training:
            head.observe(features, labels, counted)
        parts = head.separate(features, labels)
        energy = parts.distance if parts.half_log_volume is None else parts.distance + parts.half_log_volume
        if off is not None:
            energy = energy.masked_fill(off, torch.nan)
        moved = self.margin * parts.distance
        cost = energy + moved  # −(z_y − α·d_y)
        if parts.log_prior is not None:
            cost = cost - parts.log_prior
        margin = F.softplus(parts.others + cost)
        weights = None if self.class_weights is None else self.class_weights[labels]
        smoothed = margin if weights is None else weights * margin
        if self.label_smoothing:
            spread = self._spread(head, features, moved if weights is None else weights * moved, margin - cost)
            smoothed = (1 - self.label_smoothing) * smoothed + self.label_smoothing / head.classes * spread
        likelihood = self.likelihood_weight * energy
        return MixtureTerms(self._reduce(smoothed, weights, counted), self._reduce(likelihood, None, counted))

    def _soft_terms(self, head: GaussianMixtureHead, features: Tensor, targets: Tensor) -> MixtureTerms:
        """Each class's loss as in `terms`, (N, K), weighed by its share."""
        if self.training:
            head.observe_shares(features, targets)
        distance = head.distances(features, targets)
        targets = targets.to(distance.dtype)
        energy = distance if head.covariance == "identity" else distance + head.half_log_volumes()
        log_priors = head.log_priors()
        z = -energy if log_priors is None else log_priors - energy
        moved = self.margin * distance
        cost = moved - z
        margin = F.softplus(soft.others(z) + cost)
        weighted = targets if self.class_weights is None else targets * self.class_weights
        smoothed = (weighted * margin).sum(1)
        if self.label_smoothing:
            weights = z.new_ones(head.classes) if self.class_weights is None else self.class_weights.to(z.dtype)
            total = (targets * (margin - cost)).sum(1)
            spread = weights.sum() * total - targets.sum(1) * (z @ weights) + (weighted * moved).sum(1)
            smoothed = (1 - self.label_smoothing) * smoothed + self.label_smoothing / head.classes * spread
        likelihood = self.likelihood_weight * (targets * energy).sum(1)
        counted = torch.ones_like(likelihood, dtype=torch.bool)
        weights_of_images = None if self.class_weights is None else weighted.sum(1)
        return MixtureTerms(self._reduce(smoothed, weights_of_images, counted), self._reduce(likelihood, None, counted))

    def _spread(self, head: Head, features: Tensor, moved: Tensor, total: Tensor) -> Tensor:
        """Σ_k w_k·(`total` − z_k), with `moved` = w_y·α·d_y taken off the sum of the logits; `total` is over all k."""
        weights = head.means.new_ones(head.classes) if self.class_weights is None else self.class_weights
        return weights.sum() * total - (head.logit_sum(features, weights) - moved)

    def check(self) -> None:
        """Where values are checked late: wait for the device, and refuse what was found since the last time.

        Raises:
            InputError: Values were refused.
        """
        self._late.check()

    def _checks_late(self, features: Tensor) -> bool:
        at_once = answers_at_once(features.device) and self.check_values != "late"
        return bool(self.check_values) and not at_once and not torch.compiler.is_compiling()

    def _faults(self, head: Head, features: Tensor, targets: Tensor) -> Tensor:
        """For `Late`, float32 (6,): all faults, those in features, labels and soft targets, and two numbers of these.

        Of labels these are the smallest and the largest, of soft targets the sum of the worst row, twice.
        """
        bad = (~features.detach().isfinite()).sum()
        of_labels = of_shares = low = high = torch.zeros_like(bad)
        if not len(targets):
            pass
        elif targets.is_floating_point():
            of_shares, low = soft.are_wrong(targets), soft.worst(targets)
            high = low
        else:
            counted = torch.where(targets != self.ignore_index, targets, 0)
            of_labels, low, high = _outside(counted, head.classes).sum(), counted.amin(), counted.amax()
        parts = [bad + of_labels + of_shares, bad, of_labels, of_shares, low, high]
        return torch.stack([part.to(torch.float32) for part in parts])

    def _reduce(self, values: Tensor, weights: Tensor | None, counted: Tensor) -> Tensor:
        values = torch.where(counted, values, 0)
        if self.reduction == "none":
            return values
        if self.reduction == "sum":
            return values.sum()
        total = counted.sum() if weights is None else torch.where(counted, weights, 0).sum()
        return values.sum() / torch.where(total > 0, total, 1)

    def _check(self, head: Head, features: Tensor, targets: Tensor) -> None:
        if not isinstance(head, Head):
            raise InputError(f"head must be a GaussianMixtureHead, got {type(head).__name__}.")
        head.check_features(features)
        shares = targets.is_floating_point() and targets.ndim == 2
        if shares:
            wanted = (len(features), head.classes)
            if targets.shape != wanted:
                raise InputError(f"soft targets must have the shape {wanted}, got {tuple(targets.shape)}.")
            if not isinstance(head, GaussianMixtureHead):
                raise InputError(
                    f"targets of a sharded head must be int64 labels ({len(features)},), got soft ones "
                    f"{tuple(targets.shape)}."
                )
        elif targets.dtype != torch.int64:
            raise InputError(f"labels must be of type int64, got {str(targets.dtype).removeprefix('torch.')}.")
        elif targets.shape != features.shape[:1]:
            raise InputError(f"labels must have the shape ({len(features)},), got {tuple(targets.shape)}.")
        if self.class_weights is not None and len(self.class_weights) != head.classes:
            raise InputError(f"class_weights must be {head.classes} numbers, got {len(self.class_weights)}.")
        if not self.check_values or torch.compiler.is_compiling():
            return
        if self._checks_late(features):
            self._late.add(self._faults(head, features, targets))
            return
        if shares:
            wrong = soft.are_wrong(targets)
        else:
            off = (targets != self.ignore_index) & _outside(targets, head.classes)
            wrong = off.any()
        # A sum is finite only where all of its numbers are. Both answers are read at once: reading waits.
        if not (wrong | ~features.detach().sum().isfinite()):
            return
        if wrong and shares:
            raise soft.error(targets)
        if wrong:
            raise InputError(f"labels must be in 0..{head.classes - 1}, got {targets[off][0].item()}.")
        if bad := int((~features.detach().isfinite()).sum()):
            raise InputError(f"features must be finite, got {bad} of {features.numel()} infinite or not a number.")


def _follow_steps(module: GaussianMixtureLoss, _: object) -> None:
    """Put a criterion whose state was loaded to the step that it says."""
    module.set_step(int(module.steps))


def _outside(labels: Tensor, classes: int) -> Tensor:
    """Which labels are no class's number, bool (N,)."""
    return (labels < 0) | (labels >= classes)


def _told(numbers: Sequence[float]) -> InputError:
    """The error for what `_faults` found."""
    _, bad, of_labels, of_shares, low, high = numbers
    if of_labels:
        told = f"labels must be numbers of the head's classes, got {of_labels:g} that are none, in {low:g}..{high:g}"
    elif of_shares:
        told = f"soft targets must be at least 0 and sum to 1 in each row, got a row of sum {low:g}"
    else:
        told = f"features must be finite, got {bad:g} infinite or not a number"
    return InputError(f"{told}, in a call before.")


def _schedule(name: str, value: float | Schedule) -> Schedule:
    if callable(value):
        return value
    real(name, value, lambda v: 0 <= v < float("inf"), "at least 0 and finite")
    return constant(value)
