"""The head's classes shared out over processes, for more of them than one device holds.

P processes, N images each, K classes in all, D features. Every process holds K/P means and sees the features of all
processes; what travels is features, labels and three numbers an image and process, never logits (as Partial FC does,
arXiv 2203.15565, without its sampling).
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.gaussian_mixture.head import Separation, check_features, check_sizes
from truelift.techniques.gaussian_mixture.separation import logits, separate, weighted_logit_sum, wide_type


class _AllGather(torch.autograd.Function):
    """Every process's tensor, stacked, (P, …). Backwards: the sum over processes of the gradients of one's own."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, tensor.contiguous(), group)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous()
        dist.all_reduce(grad, group=ctx.group)
        return grad[dist.get_rank(ctx.group)], None


class _ScaleGradient(torch.autograd.Function):
    """The tensor itself; its gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.factor, None


def _all_gather(tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    gathered: Tensor = _AllGather.apply(tensor, group)  # type: ignore[no-untyped-call]
    return gathered


class ShardedGaussianMixtureHead(nn.Module):
    """A `GaussianMixtureHead` of identity covariance and uniform priors, its means shared out over processes.

    It goes with `GaussianMixtureLoss` as the whole head does. Each process's loss is the one over its own images, and
    gradients are those of the mean over processes: what DistributedDataParallel gives the rest of the network. The
    means must be left out of DistributedDataParallel, since each process has others.

    Args:
        features: D, at least 1.
        classes: K, at least 2 and at least P.
        group: The processes; default: all.

    Attributes:
        first: The first class held here.
        means: μ of the classes held here, (K/P, D), the first processes having one more where P does not divide K.

    Raises:
        InputError: An argument is out of range, torch.distributed does not run, or processes' batches differ in size.
    """

    def __init__(self, features: int, classes: int, *, group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        if not dist.is_initialized():
            raise InputError("ShardedGaussianMixtureHead needs torch.distributed: call init_process_group first.")
        processes, rank = dist.get_world_size(group), dist.get_rank(group)
        check_sizes(features, classes, max(2, processes))
        share, rest = divmod(classes, processes)
        self.features = features
        self.classes = classes
        self.group = group
        self.first = rank * share + min(rank, rest)
        self._processes = processes
        self._rank = rank
        self.means = nn.Parameter(torch.empty(share + (rank < rest), features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the means anew: normal with variance 2/D. Processes should be seeded apart."""
        nn.init.normal_(self.means, std=(2 / self.features) ** 0.5)

    def check_features(self, features: Tensor) -> None:
        """Refuse features that are not (N, D).

        Raises:
            InputError: They are not.
        """
        check_features(features, self.features)

    def observe(self, features: Tensor, labels: Tensor, counted: Tensor) -> None:
        """Nothing: neither variances nor priors are tracked here."""

    def separate(self, features: Tensor, labels: Tensor) -> Separation:
        """As `GaussianMixtureHead.separate`, for this process's images; every process must call it."""
        everyone = self._gathered(features)
        of_everyone = _all_gather(labels, self.group).flatten() - self.first
        here = (of_everyone >= 0) & (of_everyone < len(self.means))
        parts = separate(everyone, self._means(), None, None, torch.where(here, of_everyone, -1))
        others, distance = self._mine(torch.stack(parts, 1)).unbind(2)
        return Separation(torch.logsumexp(others, 0), distance.sum(0), None, None)

    def logit_sum(self, features: Tensor, weights: Tensor) -> Tensor:
        """As `GaussianMixtureHead.logit_sum`; every process must call it."""
        own = weights[self.first : self.first + len(self.means)]
        partial = weighted_logit_sum(self._gathered(features), self._means(), None, None, own)
        return self._mine(partial[:, None])[:, :, 0].sum(0)

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """The class with the largest logit, int64 (N,); every process must call it."""
        best = logits(self._gathered(features), self.means, None, None).max(1)
        values = self._mine(best.values[:, None])[:, :, 0]
        classes = self._mine((best.indices + self.first)[:, None])[:, :, 0]
        return classes.gather(0, values.argmax(0)[None])[0]

    def _means(self) -> Tensor:
        means: Tensor = _ScaleGradient.apply(self.means, 1 / self._processes)  # type: ignore[no-untyped-call]
        return means

    def _gathered(self, features: Tensor) -> Tensor:
        """All processes' features, (P·N, D)."""
        sizes = _all_gather(torch.tensor([len(features)], device=features.device), self.group).flatten().tolist()
        if len(set(sizes)) > 1:
            raise InputError(f"all processes must have batches of one size, got {sizes}.")
        return _all_gather(features.to(wide_type(features)), self.group).flatten(0, 1)

    def _mine(self, rows: Tensor) -> Tensor:
        """From (P·N, …) numbers of each process about all images: all processes' numbers about mine, (P, N, …)."""
        everything = _all_gather(rows, self.group)
        mine: Tensor = everything.chunk(self._processes, dim=1)[self._rank]
        return mine
