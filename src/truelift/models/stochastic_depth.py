"""Stochastic depth: in training, each image skips some residual blocks.

Shapes: N images; a branch's output is (N, …).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from truelift.errors import InputError, real, require
from truelift.models.classifier import Classifier
from truelift.models.modifier import Modifier
from truelift.options import SHARE_BELOW_ONE


@dataclass(frozen=True, kw_only=True)
class StochasticDepthOptions:
    """Which residual blocks are skipped at random."""

    stochastic_depth: Annotated[float, SHARE_BELOW_ONE] = 0.0
    """Share of the images that skip a residual network's last block in training, in [0, 1); earlier blocks are skipped
    less often, in proportion to their number. The paper's: 0.5."""


def survival(blocks: int, drop: float) -> list[float]:
    """The share of images that pass each block: 1 − l/L · drop for the l-th of L blocks (equation 4).

    Args:
        blocks: L, at least 1.
        drop: The share that skips the last block, in [0, 1).

    >>> survival(4, 0.5)
    [0.875, 0.75, 0.625, 0.5]
    """
    return [1 - number / blocks * drop for number in range(1, blocks + 1)]


def drop_branch(branch: Tensor, share: float) -> Tensor:
    """A residual branch's output, set to 0 for each image with probability 1 − `share`, and divided by `share`.

    Drawn from torch's generator for the tensor's device.

    Args:
        branch: (N, …).
        share: Of the images that keep it, in (0, 1].
    """
    keep = torch.empty(len(branch), *[1] * (branch.ndim - 1), dtype=branch.dtype, device=branch.device)
    return branch * keep.bernoulli_(share).div_(share)


class StochasticDepth:
    """Residual blocks that images skip at random while they are in training mode; the last one the most often.

    A skipped block is its shortcut alone: the output of its residual branch is set to 0 for that image. In inference
    mode nothing is changed. A frozen block, one that is put into inference mode, is never skipped.

    Deviations: the paper draws once for a whole batch, and multiplies by the survival probability in inference. Here
    each image is drawn by itself, and the division is in training, so that the branch's expectation is its plain
    output (as in timm and torchvision).

    Args:
        branch_ends: For each residual block, in order, the module whose output is the residual branch's, before the
            shortcut is added; called once a forward pass. None changes nothing.
        drop: The share of images that skip the last block, in [0, 1).

    Raises:
        InputError: `drop` is out of range; branch ends are no modules, twice the same, or have it already; in a
            forward pass, what one gives is no tensor.

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        >>> depth = StochasticDepth([network[0], network[1]], 0.5)
        >>> depth.survival
        [0.75, 0.5]
        >>> depth.remove()

    Source:
        Huang, Sun, Liu, Sedra, Weinberger, "Deep Networks with Stochastic Depth", arXiv 1603.09382.
    """

    def __init__(self, branch_ends: Sequence[nn.Module], drop: float) -> None:
        real("drop", drop, SHARE_BELOW_ONE.holds, SHARE_BELOW_ONE.text)
        several = isinstance(branch_ends, Iterable) and not isinstance(branch_ends, nn.Module)
        require("branch_ends", type(branch_ends).__name__, several, "a list of modules")
        branch_ends = list(branch_ends)
        for end in branch_ends:
            require("branch_ends", f"one of type {type(end).__name__}", isinstance(end, nn.Module), "modules")
            has = any(isinstance(hook, _Drop) for hook in end._forward_hooks.values())
            require("branch_ends", f"a {type(end).__name__}", not has, "without stochastic depth so far")
        different = len({id(end) for end in branch_ends}) == len(branch_ends)
        require("branch_ends", "one twice", different, "different modules")
        self.survival = survival(len(branch_ends), drop)
        self._handles: list[RemovableHandle] = [
            module.register_forward_hook(_Drop(share)) for module, share in zip(branch_ends, self.survival, strict=True)
        ]

    def remove(self) -> None:
        """Make the blocks plain again."""
        for handle in self._handles:
            handle.remove()


class _Drop:
    """A forward hook; a class, so that a network that has it can be copied and pickled."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, module: nn.Module, _: tuple[Tensor, ...], branch: Tensor) -> Tensor:
        if not isinstance(branch, Tensor):
            raise InputError(
                f"branch_ends must give tensors, got {type(branch).__name__} from {type(module).__name__}."
            )
        return drop_branch(branch, self.share) if module.training else branch


def _apply(network: Classifier, drop: float) -> None:
    assert isinstance(network.blocks, nn.Sequential), "the trait says so"
    StochasticDepth([block.branch_end for block in network.blocks], drop)  # type: ignore[misc]


MODIFIER = Modifier("stochastic_depth", "residual", _apply, draws=True)
