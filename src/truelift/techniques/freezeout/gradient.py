"""Whether layers' gradients still change, as AutoFreeze tells it. L layers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from truelift.errors import InputError
from truelift.techniques.freezeout.signals import Signal


def relative_changes(before: Sequence[float], now: Sequence[float]) -> list[float]:
    """η_l = |‖Δ_l before‖ − ‖Δ_l now‖| / ‖Δ_l before‖ for the norms of two intervals; 0 where both are 0."""
    return [abs(b - n) / b if b else (float("inf") if n else 0.0) for b, n in zip(before, now, strict=True)]


def below_percentile(changes: Sequence[float], percentile: float) -> list[bool]:
    """Which changes are below that percentile of them all, in [0, 100], taken in a line between the two nearest."""
    bound = torch.tensor(changes, dtype=torch.float64).quantile(percentile / 100).item()
    return [change < bound for change in changes]


class GradientSignal(Signal):
    """A layer is quiet in an interval where its gradient's norm has changed less than most layers' has.

    Formula, Δ_l the sum of a layer's gradients over the interval's steps, ‖·‖ the sum of absolute values:

        η_l = |‖Δ_l before‖ − ‖Δ_l now‖| / ‖Δ_l before‖,  quiet where η_l < the N-th percentile of all η

    over the layers in training but the last. The sum costs an addition and the memory of a weight's copy; its norm is
    read once an interval.

    Args:
        parameters: Each layer's own parameters.
        percentile: N, in [0, 100].

    Raises:
        InputError: A parameter has no shape yet.

    Source:
        Liu, Agarwal, Venkataraman, "AutoFreeze: Automatically Freezing Model Blocks to Accelerate Fine-tuning", arXiv
        2102.01386, and the authors' code, which sums gradients, takes the 1-norm and leaves out BERT's classifier.
    """

    def __init__(self, parameters: list[list[Tensor]], percentile: float) -> None:
        self.parameters = parameters[:-1]
        if any(torch.nn.parameter.is_lazy(p) for layer in parameters for p in layer):
            raise InputError("network must be initialised by a pass of its own first, got parameters without a shape.")
        self.percentile = percentile
        self.sums = [[_zeros(p) for p in layer] for layer in self.parameters]
        self.norms: list[float] | None = None

    def add(self, frozen: int, overflowed: Tensor | None = None) -> None:
        """Add the gradients that the optimizer is about to use; nothing where they overflowed and it will not."""
        pairs = [
            (total, p.grad)
            for totals, layer in zip(self.sums[frozen:], self.parameters[frozen:], strict=True)
            for total, p in zip(totals, layer, strict=True)
            if p.grad is not None
        ]
        if pairs:
            totals, gradients = zip(*pairs, strict=True)
            if overflowed is not None:  # chosen on the device, which to ask would be to wait for
                gradients = tuple(torch.where(overflowed.to(g.device) > 0, 0, g) for g in gradients)
            torch._foreach_add_(totals, gradients)

    @torch.no_grad()
    def quiet(self, frozen: int) -> list[bool]:
        """Compare the interval that ends with the one before; nothing is quiet at the end of the first."""
        for layer in range(frozen):
            self.sums[layer] = []
        totals = [total for layer in self.sums for total in layer]
        each = iter(torch.stack(torch._foreach_norm(totals, 1)).tolist() if totals else [])
        before, self.norms = self.norms, [sum(next(each) for _ in layer) for layer in self.sums]
        if totals:
            torch._foreach_zero_(totals)
        if before is None or frozen == len(self.norms):
            return [False] * (len(self.norms) - frozen)
        return below_percentile(relative_changes(before[frozen:], self.norms[frozen:]), self.percentile)

    def state_dict(self) -> dict[str, Any]:
        """The sums of this interval and the norms of the one before."""
        return {"sums": self.sums, "norms": self.norms}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        # A frozen layer has none.
        pairs = [zip(*pair, strict=False) for pair in zip(state["sums"], self.parameters, strict=True)]
        self.sums = [[total.to(p.device, copy=True) for total, p in layer] for layer in pairs]
        self.norms = state["norms"]


def _zeros(parameter: Tensor) -> Tensor:
    """For a sum over many steps, in which half precision would lose the small ones."""
    return torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32), requires_grad=False)
