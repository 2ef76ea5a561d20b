"""Less memory for more time: most activations are computed again in the backward pass instead of being kept."""

import contextlib
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from truelift.models.classifier import Classifier
from truelift.models.modifier import Modifier
from truelift.options import OPERATIONAL
from truelift.techniques.compiled_graphs import import_compiler


@dataclass(frozen=True, kw_only=True)
class RecomputeOptions:
    """Whether activations are kept or computed again."""

    recompute: Annotated[bool, OPERATIONAL] = False
    """Keep the activations of few blocks (about 2√n of n) and compute the others again: less memory, a third slower.
    Not for small-cnn, nor for your own network."""


class Recomputed(nn.Sequential):
    """The n blocks of a network, with the same names, in segments of √n blocks (rounded up).

    In training only what enters a segment is kept; when the backward pass comes to a segment, its forward pass is made
    once more. So about 2·√n blocks' activations are in memory at a time, not n, for one more forward pass a step.
    Losses, gradients and batch norm's running statistics are those of the plain blocks.

    The blocks must draw no random numbers.

    Args:
        blocks: Each maps one tensor to one; at least one.

    Source:
        Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.
    """

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__(OrderedDict(blocks.named_children()))
        import_compiler()
        size = math.ceil(math.sqrt(len(self)))
        # In a tuple of lists, so that the blocks stay children of this module alone.
        self._segments = tuple(list(self)[at : at + size] for at in range(0, len(self), size))

    def forward(self, x: Tensor) -> Tensor:
        """From the first block's input to the last one's output."""
        for segment in self._segments:
            x = _recomputed(segment, x) if torch.is_grad_enabled() else _plain(segment, x)
        return x


def _recomputed(blocks: list[nn.Module], x: Tensor) -> Tensor:
    y: Tensor = checkpoint(
        _plain,
        blocks,
        x,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (contextlib.nullcontext(), _StatisticsKept(blocks)),
    )
    return y


def _plain(blocks: list[nn.Module], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


class _StatisticsKept:
    """Within, batch norms leave their running statistics as they are: the first forward pass has moved them.

    A class, since it is entered once for each backward pass through a graph, and a generator can be entered only once.
    """

    def __init__(self, blocks: list[nn.Module]) -> None:
        self._blocks = blocks

    def __enter__(self) -> None:
        norms = [module for block in self._blocks for module in block.modules() if isinstance(module, _BatchNorm)]
        self._kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, momentum, batches in self._kept:
            norm.momentum, norm.num_batches_tracked = momentum, batches


def _apply(network: Classifier, wanted: bool) -> None:
    assert isinstance(network.blocks, nn.Sequential), "the trait says so"
    network.blocks = Recomputed(network.blocks)


MODIFIER = Modifier("recompute", "blocks", _apply, computes_again=True)
