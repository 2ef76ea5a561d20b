"""What the L-GM loss needs of every class at once, for targets that are shares. N images, K classes, D features.

A hard label asks for one class's distance and one log-sum-exp, without (N, K) tensors; `separation.py` gives them. Soft
targets weigh the loss of every class, so here (N, K) tensors are kept and autograd does the rest. Nothing costs more
than O(N·K·D), the matrix product that the logits cost too.
"""

import torch
from torch import Tensor

from truelift.errors import InputError
from truelift.techniques.devices import widest
from truelift.techniques.gaussian_mixture.separation import logits, wide_type, without_autocast

# Mixed images have two classes each. For so many, those with the largest shares, distances are exact.
_EXACT_CLASSES = 2


def others(z: Tensor) -> Tensor:
    """The numbers log Σ_{j≠k} exp z_j for every k, (N, K), without a loop over k.

    With q the softmax it is log Σ_j exp z_j + log(1 − q_k). That is exact for every class but the largest, whose q may
    round to 1; there the class itself is masked. All other shares are at most ½.

    Args:
        z: (N, K), K at least 2.
    """
    total = torch.logsumexp(z, 1, keepdim=True)
    largest = z.argmax(1, keepdim=True)
    hot = torch.zeros_like(z, dtype=torch.bool).scatter_(1, largest, True)
    share = (z - total).exp().masked_fill(hot, 0)
    without_largest = torch.logsumexp(z.masked_fill(hot, -torch.inf), 1, keepdim=True)
    return torch.where(hot, without_largest, total + torch.log1p(-share))


def distances(features: Tensor, means: Tensor, precisions: Tensor | None, shares: Tensor) -> Tensor:
    """½·Σ_j w_kj·(x_j − μ_kj)², (N, K), for every class.

    For the two classes of largest share the difference is taken, then squared; the squares of the others are expanded
    (see `separation.py`). bfloat16 products would make distances to far means worthless, so under autocast all is
    float32.

    Args:
        features: x, (N, D).
        means: μ, (K, D).
        precisions: w, as for `separation.separate`.
        shares: (N, K).
    """
    wide = wide_type(features)
    exact = shares.detach().topk(_EXACT_CLASSES, 1).indices
    with without_autocast(features.device.type):
        far = -logits(features, means, precisions, None)
        difference = features.to(wide)[:, None] - means.to(wide)[exact]
        squares = difference.square()
        if precisions is not None:
            squares = squares * (precisions if len(precisions) == 1 else precisions[exact]).to(wide)
        return far.scatter(1, exact, 0.5 * squares.sum(2))


def spread(features: Tensor, means: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_n t_nk, (K,), and Σ_n t_nk·(x_n − μ_k)², (K, D): float64 where the device has it.

    By n_k·((m_k − μ_k)² + the variance around m_k, the mean of the class's part of the batch), in float64, so that
    neither a (N, K, D) tensor nor a loss of digits is the price.
    """
    wide = widest(features.device)
    t = shares.to(wide)
    counts = t.sum(0)
    x, mu = features.to(wide), means.to(wide)
    centre = x.mean(0) if len(x) else x.new_zeros(x.shape[1])
    x, mu = x - centre, mu - centre
    sums = t.T @ x
    mean = sums / torch.where(counts > 0, counts, 1)[:, None]
    around_mean = (t.T @ x.square() - sums * mean).clamp(min=0)
    return counts, around_mean + counts[:, None] * (mean - mu).square()


def are_wrong(targets: Tensor) -> Tensor:
    """Whether a row is no distribution: a share below 0, or a sum off 1. A bool, still on the device."""
    t = targets.detach()
    off = (t.sum(1, dtype=torch.float32) - 1).abs()
    tolerance = 1e-3 if t.dtype.itemsize >= 4 else 1e-2  # shares of 16 bits are each rounded by up to 2⁻⁹
    return ~((off <= tolerance) & (t >= 0).all(1)).all()


def worst(targets: Tensor) -> Tensor:
    """The sum of the row that is furthest off 1; a scalar, still on the device. There is a row."""
    sums = targets.detach().sum(1, dtype=torch.float32)
    return sums.gather(0, (sums - 1).abs().nan_to_num(torch.inf).argmax(0, keepdim=True)).squeeze(0)


def error(targets: Tensor) -> InputError:
    """What is wrong, where `are_wrong` says that something is."""
    if (low := targets.min().item()) < 0:
        return InputError(f"soft targets must be at least 0, got {low:g}.")
    return InputError(f"soft targets must sum to 1 in each row, got {worst(targets).item():g}.")
