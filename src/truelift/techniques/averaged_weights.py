"""Exponential moving average (EMA) of a network's weights, for evaluation. t updates made before."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from truelift.errors import InputError, real
from truelift.options import SHARE_BELOW_ONE, Only
from truelift.techniques.weights import changed_in_place, check_fit, check_network, check_weights_state


def average_(averages: Sequence[Tensor], values: Sequence[Tensor], decay: float) -> None:
    """In place: a ← decay·a + (1 − decay)·v.

    Args:
        averages: a, of floating point (or complex) types.
        values: v, of the same shapes and devices; of any type that converts.
        decay: In [0, 1].

    Raises:
        InputError: The decay is out of range.
    """
    real("decay", decay, lambda d: 0 <= d <= 1, "in [0, 1]")
    if averages:
        converted = [value.detach().to(average.dtype) for average, value in zip(averages, values, strict=True)]
        torch._foreach_lerp_(list(averages), converted, 1 - decay)


def warmed_up(decay: float, updates: int) -> float:
    """min(decay, (1 + t)/(10 + t)): small in the beginning, so that the first weights are soon forgotten."""
    return min(decay, (1 + updates) / (10 + updates))


class AveragedWeights:
    """A moving average of a network's weights beside the network; training does not see it.

    Formula, after each optimizer step, with θ the weights and a their average, a = θ in the beginning:
        a ← d·a + (1 − d)·θ,   d = min(decay, (1 + t)/(10 + t)) with warm-up, else the decay

    Averages are kept in float32 at least: in bfloat16 a step of 1 − decay = 0.001 would be rounded away. Buffers of
    floating point, batch norm's running statistics among them, are averaged in the same way, where both numbers are
    finite; other buffers (counts) are copied. Averaged statistics are near those of the averaged network, and cost no
    pass over the data; `torch.optim.swa_utils.update_bn` measures them exactly.

    Args:
        network: Its parameters and buffers are found by name in each update; shared ones count once.
        decay: In [0, 1).
        warmup: Begin with a smaller decay. Without it the first weights stay in the average at decay^t.

    Raises:
        InputError: The decay is out of range; the network has other tensors than in the beginning; `update` or
            `applied` is called within `applied`; a state does not fit.

    Example:
        >>> averaged = AveragedWeights(network, decay=0.999)
        >>> for images, labels in batches:
        ...     F.cross_entropy(network(images), labels).backward()
        ...     optimizer.step()
        ...     optimizer.zero_grad()
        ...     averaged.update()
        >>> with averaged.applied():
        ...     accuracy = evaluate(network)

    Source:
        Polyak, Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; with exponential weights:
        Tarvainen, Valpola, "Mean teachers are better role models", 2017, arXiv 1703.01780, section 2. The warm-up is
        that of TensorFlow's `ExponentialMovingAverage`. Deviation: batch norm's statistics, which no paper names.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999, warmup: bool = True) -> None:
        check_network(network)
        real("decay", decay, lambda d: 0 <= d < 1, "in [0, 1)")
        self.network = network
        self.decay = decay
        self.warmup = warmup
        self.updates = 0
        self._averages = {name: _wide(tensor) for name, tensor in self._tensors().items()}
        self._applied = False

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights as they are now; to be called after each optimizer step."""
        self._refuse_applied("update")
        weights, buffers = dict(self.network.named_parameters()), dict(self.network.named_buffers())
        self._check({**weights, **buffers})
        decay = warmed_up(self.decay, self.updates) if self.warmup else self.decay
        for name, tensor in (*weights.items(), *buffers.items()):
            self._averages[name] = self._averages[name].to(tensor.device)  # where the network has moved
        average_([self._averages[name] for name in weights], list(weights.values()), decay)
        for name, buffer in buffers.items():
            average = self._averages[name]
            if buffer.is_floating_point() or buffer.is_complex():
                moved = torch.lerp(average, buffer.to(average.dtype), 1 - decay)
                average.copy_(torch.where(average.isfinite() & buffer.isfinite(), moved, buffer))
            else:
                average.copy_(buffer)
        self.updates += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the network has the averaged weights; after it its own again, to the last bit, whatever happened.

        So what is trained within is lost.
        """
        self._refuse_applied("applied")
        tensors = self._tensors()
        self._check(tensors)
        own = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self._applied = True
        try:
            _copy(tensors, self._averages)
            changed_in_place()
            yield
        finally:
            _copy(tensors, own)
            changed_in_place()
            self._applied = False

    def state_dict(self) -> dict[str, Any]:
        """The averages by name, and the number of updates; copies."""
        return {"updates": self.updates, "averages": {name: a.clone() for name, a in self._averages.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, on the devices where the averages are now."""
        check_weights_state(state, "averages", self._averages)
        _copy(self._averages, state["averages"])
        self.updates = state["updates"]

    def _tensors(self) -> dict[str, Tensor]:
        return {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}

    def _check(self, tensors: Mapping[str, Tensor]) -> None:
        check_fit(tensors, self._averages, "network", "those averaged so far")

    def _refuse_applied(self, what: str) -> None:
        if self._applied:
            raise InputError(f"{what} must be called outside applied(), where the network has its own weights.")


@dataclass(frozen=True, kw_only=True)
class AveragedWeightsOptions:
    """Options of averaged weights."""

    ema_decay: Annotated[float, SHARE_BELOW_ONE, Only("names", "averaged-weights")] = 0.999
    """averaged-weights: the share of the average that a step leaves; in [0, 1)."""


def build(options: AveragedWeightsOptions, around: Any) -> AveragedWeights:
    """The average that `options` describe, of `around.network`."""
    return AveragedWeights(around.network, options.ema_decay)


def _wide(tensor: Tensor) -> Tensor:
    """A copy, float32 at least where it is of floating point."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor.detach().clone()
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32), copy=True)


@torch.no_grad()
def _copy(into: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in into.items():
        tensor.copy_(tensors[name])
