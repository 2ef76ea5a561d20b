"""How far a feature lies from its own class's Gaussian, and how near to all others: the costly part of the L-GM loss.

N images, K classes, D features. With precisions w (w = 1 for identity covariance), b_k all that does not depend on the
feature, and

    z_k = b_k − ½·Σ_j w_kj·(x_j − μ_kj)²                    (N, K)

this file computes, for an image of class y,

    others   = log Σ_{k≠y} exp z_k                          (N,)
    distance = ½·Σ_j w_yj·(x_j − μ_yj)²                     (N,)

and everything else in the loss is arithmetic on N numbers. Three things make it exact and cheap:

- The distance to the own mean is gathered, subtracted and squared in float32. Expanding x² − 2xμ + μ² instead loses
  all digits where the means are far from the origin. The other classes may be expanded, once features and means are
  centred by a mean of the means; nothing depends on the centre, so it has no gradient.
- The classes are walked in blocks that stay in the processor's cache, so centring and squaring the means costs no trip
  to memory, and no (N, K, D) tensor exists. The exponentials (N, K) are kept for the backward pass where they are
  small, and computed again, block by block, where they are not.
- The backward pass is written by hand: three matrix products, as for a linear layer, and the gathered part is added
  where the gradient of the means lies already.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Exponentials larger than this are computed again in the backward pass rather than kept.
KEPT_BYTES = 128 * 2**20

# About so many means, from all over the classes, give the centre: any point among the means will do, and the mean of
# all of them would be a trip to memory.
_CENTRE_MEANS = 1024

# Classes a block: means and exponentials of a block fit a CPU's cache; a GPU wants fewer, larger kernels.
_BLOCK_BYTES = {"cpu": 4 * 2**20}
_BLOCK_BYTES_ELSEWHERE = 256 * 2**20


def separate(
    features: Tensor, means: Tensor, precisions: Tensor | None, bias: Tensor | None, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """`others` and `distance` of the module's docstring, with gradients for all but the labels.

    Under bfloat16 autocast the matrix products are bfloat16, all else is float32. Under float16 autocast everything is
    float32: a squared distance passes float16's range of 65,504.

    Args:
        features: x, (N, D).
        means: μ, (K, D).
        precisions: w, (K, 1) for one number a class, (1, D) for one a feature, (K, D) for both; None for 1.
        bias: b, (K,); None for 0.
        labels: y, int64 (N,), in 0..K-1, or -1 for an image of no class here: `others` is then over all classes and
            `distance` is 0.

    Returns:
        others (N,) and distance (N,), float32 (float64 for float64 features).
    """
    wide = wide_type(features)
    bf16 = _in_bfloat16(features.device.type)
    element = 2 if bf16 else wide.itemsize
    others, distance, *_ = _separate(
        features.to(wide),
        means.to(wide),
        None if precisions is None else precisions.to(wide),
        None if bias is None else bias.to(wide),
        labels,
        bf16,
        features.shape[0] * means.shape[0] * element <= KEPT_BYTES,
    )
    return others, distance


def logits(features: Tensor, means: Tensor, precisions: Tensor | None, bias: Tensor | None) -> Tensor:
    """The logits z, (N, K), never above b; arguments and precision as for `separate`."""
    wide = wide_type(features)
    device = features.device.type
    bf16 = _in_bfloat16(device)
    with without_autocast(device):
        means = means.to(wide)
        precisions = None if precisions is None else precisions.to(wide)
        centre = _centre(means.detach())
        x = features.to(wide) - centre
        squares = _squares(x, precisions)
        z = _relative_logits(x, squares, means - centre, precisions, None, bf16)
        if _is_shared(precisions):
            z = z - _half_norms(squares, precisions)[:, None]
        z = z.clamp(max=0)  # rounding must not make a distance negative
        return z if bias is None else z + bias


def weighted_logit_sum(
    features: Tensor, means: Tensor, precisions: Tensor | None, bias: Tensor | None, weights: Tensor
) -> Tensor:
    """Σ_k weights_k·z_k, (N,), without the N·K logits: a sum of quadratic functions is one."""
    wide = wide_type(features)
    with without_autocast(features.device.type):
        centre = _centre(means.detach().to(wide))
        x, m, weights = features.to(wide) - centre, means.to(wide) - centre, weights.to(wide)
        weighted = weights[:, None] if precisions is None else weights[:, None] * precisions
        quadratic = _squares(x, precisions) @ weighted.sum(0) + (weighted * m.square()).sum()
        total = x @ (weighted * m).sum(0) - 0.5 * quadratic
        return total if bias is None else total + weights @ bias.to(wide)


def wide_type(features: Tensor) -> torch.dtype:
    """float64 for float64, else float32: a mixture is never computed in less, whatever features come in."""
    return torch.float64 if features.dtype == torch.float64 else torch.float32


def _in_bfloat16(device: str) -> bool:
    if not _has_autocast(device):
        return False
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


def without_autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    """Within it nothing is cast on this type of device; the meta device, where operations are counted, casts never."""
    return torch.autocast(device, enabled=False) if _has_autocast(device) else contextlib.nullcontext()


def _has_autocast(device: str) -> bool:
    # torch 2.6 cannot compile the question; what is compiled is no meta device, and has it.
    return torch.compiler.is_compiling() or torch.amp.is_autocast_available(device)


def _centre(means: Tensor) -> Tensor:
    """The mean of the means, or of some of them from all over the classes, (D,)."""
    return means[:: max(1, len(means) // _CENTRE_MEANS)].mean(0)


def _squares(x: Tensor, precisions: Tensor | None) -> Tensor:
    """x² for precisions of each feature, ‖x‖² (N, 1) otherwise."""
    if precisions is not None and precisions.shape[1] == x.shape[1]:
        return x.square()
    return x.square().sum(1, keepdim=True)


def _relative_logits(
    x: Tensor, squares: Tensor, means: Tensor, precisions: Tensor | None, bias: Tensor | None, bf16: bool
) -> Tensor:
    """The logits z from centred features and means; where precisions are shared z + ½·Σ_j w_j·x_j², as that is too."""
    weighted = means if precisions is None else precisions * means
    constant = -0.5 * torch.linalg.vecdot(weighted, means)
    if bias is not None:
        constant = constant + bias
    # The constant stays float32, and so does the sum.
    z: Tensor = _product(x, weighted.T, bf16) + constant if bf16 else torch.addmm(constant, x, weighted.T)
    # Squares have twice the digits of what they are squares of: their product stays wide.
    if precisions is None or _is_shared(precisions):
        return z
    return torch.addmm(z, squares, precisions.T, alpha=-0.5)


def _is_shared(precisions: Tensor | None) -> bool:
    """Whether all classes have the same precisions."""
    return precisions is None or precisions.shape[0] == 1


def _half_norms(squares: Tensor, precisions: Tensor | None) -> Tensor:
    """½·Σ_j w_j·x_j² for shared precisions, (N,)."""
    return 0.5 * (squares if precisions is None else squares * precisions).sum(1)


def _product(a: Tensor, b: Tensor, bf16: bool) -> Tensor:
    """The matrix product; bfloat16 if computed in it."""
    return a.bfloat16() @ b.bfloat16() if bf16 else a @ b


def _blocks(n: int, means: Tensor) -> list[slice]:
    """The classes in runs of which the means, and the exponentials of N images, fill a block."""
    budget = _BLOCK_BYTES.get(means.device.type, _BLOCK_BYTES_ELSEWHERE)
    size = max(64, budget // (means.element_size() * max(n, means.shape[1])))
    return [slice(first, min(first + size, len(means))) for first in range(0, len(means), size)]


def _centred_blocks(n: int, means: Tensor, centre: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Each block and its centred means, in one buffer for all: a fresh one a block would be paged in each time."""
    blocks = _blocks(n, means)
    buffer = means.new_empty(blocks[0].stop, means.shape[1])
    for block in blocks:
        part = means[block]
        yield block, torch.sub(part, centre, out=buffer[: len(part)])


def _kept_block(kept: Tensor, n: int, block: slice) -> Tensor:
    """A block's softmax (N, classes of the block) in the flat tensor that keeps all, one block after the other."""
    return kept[n * block.start : n * block.stop].view(n, block.stop - block.start)


def _part(tensor: Tensor | None, block: slice) -> Tensor | None:
    return tensor if tensor is None or len(tensor) == 1 else tensor[block]


def _block_logits(
    x: Tensor,
    squares: Tensor,
    means: Tensor,
    precisions: Tensor | None,
    bias: Tensor | None,
    labels: Tensor,
    block: slice,
    bf16: bool,
) -> Tensor:
    """The relative logits for a block's classes, from its centred means; for the own class as good as −∞.

    A number rather than −∞: a block of the own class alone would have no maximum.
    """
    z = _relative_logits(x, squares, means, _part(precisions, block), _part(bias, block), bf16)
    own = (labels - block.start)[:, None]
    column = own.clamp(0, z.shape[1] - 1)
    return z.scatter_(1, column, z.gather(1, column).masked_fill_(own == column, torch.finfo(z.dtype).min / 2))


def _total(sums: Tensor) -> Tensor:
    """Log-sum-exp over all blocks, (N,), from that of each, (N, blocks)."""
    return sums[:, 0].clone() if sums.shape[1] == 1 else torch.logsumexp(sums, 1)


def _difference(features: Tensor, means: Tensor, labels: Tensor) -> Tensor:
    """The difference x − μ_y, (N, D), 0 for an image of no class here."""
    return (features - means[labels.clamp(min=0)]).masked_fill_((labels < 0)[:, None], 0)


def _weighted(difference: Tensor, precisions: Tensor | None, labels: Tensor) -> Tensor:
    """w_y·(x − μ_y), (N, D)."""
    if precisions is None:
        return difference
    return difference * (precisions if _is_shared(precisions) else precisions[labels.clamp(min=0)])


# An operator of its own, which torch.compile takes as one call: the walk over the blocks would otherwise be unrolled
# into its graph.
@torch.library.custom_op("truelift::gaussian_mixture_separate", mutates_args=())
def _separate(
    features: Tensor,
    means: Tensor,
    precisions: Tensor | None,
    bias: Tensor | None,
    labels: Tensor,
    bf16: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gives six tensors, the first two of which are `separate`'s.

    others (N,); distance (N,); the centre (D,); the difference to the own mean (N, D); the softmax of each block (N·K);
    the log-sum-exp of each block (N, blocks). The softmax is empty where it is not kept; one within its block needs no
    pass over it when the sum over all blocks is known.
    """
    with without_autocast(features.device.type):
        centre = _centre(means)
        x = features - centre
        squares = _squares(x, precisions)
        kept = x.new_empty(len(x) * len(means) if keep else 0, dtype=torch.bfloat16 if bf16 else x.dtype)
        sums = []
        for block, m in _centred_blocks(len(x), means, centre):
            z = _block_logits(x, squares, m, precisions, bias, labels, block, bf16)
            place = _kept_block(kept, len(x), block) if keep else None
            softmax = torch.softmax(z, 1, out=None if bf16 else place)
            if place is not None and bf16:
                place.copy_(softmax)
            # The largest logit's share of the sum tells the sum.
            sums.append(z.amax(1) - softmax.amax(1).log())
        block_sums = torch.stack(sums, 1)
        others = _total(block_sums)
        if _is_shared(precisions):
            others = others - _half_norms(squares, precisions)
        difference = _difference(features, means, labels)
        distance = 0.5 * torch.linalg.vecdot(_weighted(difference, precisions, labels), difference)
    return others, distance, centre, difference, kept, block_sums


@_separate.register_fake
def _(
    features: Tensor,
    means: Tensor,
    precisions: Tensor | None,
    bias: Tensor | None,
    labels: Tensor,
    bf16: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    n, k = len(features), len(means)
    rows = features.new_empty(n)
    kept = features.new_empty(n * k if keep else 0, dtype=torch.bfloat16 if bf16 else features.dtype)
    block_sums = features.new_empty(n, len(_blocks(n, means)))
    return rows, torch.empty_like(rows), means.new_empty(means.shape[1]), torch.empty_like(features), kept, block_sums


@torch.library.custom_op("truelift::gaussian_mixture_separate_backward", mutates_args=())
def _backward(
    grad_others: Tensor,
    grad_distance: Tensor,
    features: Tensor,
    means: Tensor,
    precisions: Tensor | None,
    bias: Tensor | None,
    labels: Tensor,
    centre: Tensor,
    difference: Tensor,
    kept: Tensor,
    block_sums: Tensor,
    bf16: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of features, means, precisions and bias; the last two are empty where there are none.

    With q_k = exp(z_k − others), G_k = grad_others·q_k and m = μ − centre:

        x:  Σ_k G_k·w_k·(m_k − x)      μ_k: w_k·Σ_n G_k·(x − m_k)
        w:  −½·Σ_n G_k·(x − m_k)²      b_k: Σ_n G_k

    and the derivatives of the distance for the own class.
    """
    with without_autocast(features.device.type):
        x = features - centre
        squares = _squares(x, precisions)
        total_sum = _total(block_sums)  # relative, as the blocks' logits are
        grad_x = torch.zeros_like(x)
        grad_means = torch.empty_like(means)
        grad_precisions = means.new_empty(0) if precisions is None else torch.zeros_like(precisions)
        grad_bias = means.new_empty(0) if bias is None else torch.empty_like(bias)
        for i, (block, m) in enumerate(_centred_blocks(len(x), means, centre)):
            w = _part(precisions, block)
            if kept.numel():
                q, rows = _kept_block(kept, len(x), block), grad_others * (block_sums[:, i] - total_sum).exp()
            else:
                z = _block_logits(x, squares, m, precisions, bias, labels, block, bf16)
                q, rows = z.sub_(total_sum[:, None]).exp_(), grad_others
            wide, rows_x = q.to(x.dtype), rows[:, None] * x
            minus_sum = -(rows @ wide)[:, None]
            grad_x.addcmul_(rows[:, None], _product(q, m if w is None else w * m, bf16))
            if w is None:
                grad_m = torch.mul(m, minus_sum, out=grad_means[block])
                grad_m = grad_m.add_(_product(q.T, rows_x, bf16)) if bf16 else grad_m.addmm_(q.T, rows_x)
            else:
                gathered = _product(q.T, rows_x, bf16)
                grad_means[block] = w * (gathered + minus_sum * m)
                along = m * gathered + 0.5 * minus_sum * m.square()
                if w.shape[1] == 1:
                    along = along.sum(1, keepdim=True)
                if _is_shared(w):
                    grad_precisions += along.sum(0)
                else:
                    grad_x.addcmul_(rows_x, wide @ w, value=-1)
                    grad_precisions[block] = along - 0.5 * (wide.T @ (rows[:, None] * squares))
            if bias is not None:
                grad_bias[block] = -minus_sum[:, 0]
        towards = grad_distance[:, None] * _weighted(difference, precisions, labels)
        own_class = labels.clamp(min=0)
        grad_means.index_add_(0, own_class, towards, alpha=-1)
        grad_x += towards
        if _is_shared(precisions):  # Σ_k q_k = 1
            grad_x -= grad_others[:, None] * (x if precisions is None else precisions * x)
        if precisions is not None:
            spread = 0.5 * grad_distance[:, None] * difference.square()
            if precisions.shape[1] == 1:
                spread = spread.sum(1, keepdim=True)
            if _is_shared(precisions):
                grad_precisions += (spread - 0.5 * grad_others[:, None] * squares).sum(0)
            else:
                grad_precisions.index_add_(0, own_class, spread)
    return grad_x, grad_means, grad_precisions, grad_bias


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.bf16, _ = inputs
    ctx.set_materialize_grads(False)  # zeros for what is kept would be as large as it
    ctx.save_for_backward(*tensors, *output[2:])


def _pull_back(
    ctx: Any, grad_others: Tensor | None, grad_distance: Tensor | None, *_: None
) -> tuple[Tensor | None, ...]:
    features, _, precisions, bias, *_ = ctx.saved_tensors
    grads = (features.new_zeros(len(features)) if grad is None else grad for grad in (grad_others, grad_distance))
    x, means, w, b = _backward(*grads, *ctx.saved_tensors, ctx.bf16)
    return x, means, None if precisions is None else w, None if bias is None else b, None, None, None


_separate.register_autograd(_pull_back, setup_context=_setup_context)


@_backward.register_fake
def _(
    grad_others: Tensor,
    grad_distance: Tensor,
    features: Tensor,
    means: Tensor,
    precisions: Tensor | None,
    bias: Tensor | None,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    empty = means.new_empty(0)
    return (
        torch.empty_like(features),
        torch.empty_like(means),
        empty if precisions is None else torch.empty_like(precisions),
        empty.clone() if bias is None else torch.empty_like(bias),
    )
