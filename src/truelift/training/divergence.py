"""Steps that are not finite: left out, or traced to the layer where it began.

A training that stops at divergence has no check in its steps: its losses are read when a line of metrics is due. Only
then are the steps made again, from the last checkpoint, with a look at each. That finds the place because going on from
a checkpoint is exact.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from truelift.errors import DivergedError
from truelift.training.objectives import StepLosses
from truelift.training.parts import Training

MOST_IN_A_ROW = 10
"""So many steps in a row are left out; one more, and the training has diverged."""


class Guard:
    """Looks at every step's losses and gradients before the optimizer does.

    Args:
        training: Whose steps.
        until: Raise at the first step that is not finite, and give up after this one, counted from 1. None: have steps
            left out, `MOST_IN_A_ROW` in a row at most.
    """

    def __init__(self, training: Training, until: int | None = None) -> None:
        self._training = training
        self._until = until
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._rule: Any = None

    def before(self) -> None:
        """Remember what a step's passes move, so that a step can be left out; called before the forward pass."""
        if self._until is None:
            self._buffers = [(b, b.clone()) for part in self._parts() for b in part.buffers()]
            try:
                self._rule = copy.deepcopy(self._training.rule.state_dict())
            except Exception:
                if self._training.meters.made:
                    raise  # else the rule may make its state in its first step

    def passes(self, losses: Mapping[str, Tensor], again: Callable[[], StepLosses]) -> bool:
        """Whether the step is to be made; where it is not, running statistics are as they were before it.

        Args:
            losses: The step's, with its gradients in place.
            again: Makes the forward pass once more.

        Raises:
            DivergedError: The step is not finite, and none may be left out any more; with the layer where it began.
            NotFoundError: Nothing was found up to the step.
        """
        meters = self._training.meters
        # In float16 gradients overflow now and then: the loss scale sees to those.
        scaled = self._training.loss_scale is not None
        parameters = [p for part in self._parts() for p in part.parameters() if not scaled]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if finite([*losses.values(), *gradients]):
            if self._until is not None and meters.step + 1 >= self._until:
                raise NotFoundError
            return True
        if self._until is None and meters.skipped_in_a_row < MOST_IN_A_ROW:
            with torch.no_grad():
                for buffer, kept in self._buffers:
                    buffer.copy_(kept)
            if self._rule is not None:
                self._training.rule.load_state_dict(self._rule)
            return False
        bad = [(name, float(loss)) for name, loss in losses.items() if not finite([loss])]
        main = next(iter(losses))
        name, value = bad[0] if bad else (main, float("nan"))
        told = "loss" if name == main else f"{name} loss"
        raise DivergedError(
            told if bad else f"{told}'s gradient",
            value if bad else worst(gradients),
            meters.step + 1,
            learning_rate(self._training),
            first_not_finite(self._parts(), again),
            skipped=meters.skipped_in_a_row,
        )

    def _parts(self) -> Sequence[nn.Module]:
        return (self._training.network, self._training.objective)


class NotFoundError(Exception):
    """Made again, the steps were finite: on a device whose sums depend on the order, say."""


def first_not_finite(parts: Sequence[nn.Module], again: Callable[[], StepLosses]) -> str | None:
    """Where a step is first not finite: weights, else a layer's output, the loss, or, going backwards, a gradient.

    Args:
        parts: The modules that take part, of which layers are named.
        again: Makes the step's forward pass.

    Returns:
        "the output of layer conv1", "the loss itself" where what it is made of is finite; None where nothing is found.
    """
    layers = {
        module: f"layer {name}" if name else "the network"  # which is one layer
        for part in parts
        for name, module in part.named_modules()
        if not list(module.children())
    }
    for part in parts:
        for name, parameter in part.named_parameters():
            if not finite([parameter]):
                return f"the weights {name}"
        part.zero_grad()
    forward: list[str] = []
    backward: list[str] = []

    def hook(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, StepLosses):  # an objective without layers: what it gives are the losses
            return
        for tensor in tensors(output):
            if not finite([tensor]):
                forward.append(layers[layer])
            elif tensor.requires_grad:
                tensor.register_hook(partial(look, layers[layer]))

    def look(name: str, gradient: Tensor) -> None:
        if not finite([gradient]):
            backward.append(name)

    with contextlib.ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(hook).remove)
        losses = again().losses
        if not forward:
            if not finite(list(losses.values())):  # gradients behind it say nothing
                return "the loss itself"
            torch.autograd.backward(list(losses.values()))
    if forward:
        return f"the output of {forward[0]}"
    if backward:
        return f"the gradient at the output of {backward[0]}"
    named = [(name, p) for part in parts for name, p in part.named_parameters()]
    # Backwards, the last of the network comes first.
    return next(
        (f"the gradient of {name}" for name, p in reversed(named) if p.grad is not None and not finite([p.grad])), None
    )


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of floating point in whatever a layer gives."""
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def finite(values: Sequence[Tensor]) -> bool:
    """Whether every number in these is finite; the device is waited for once."""
    with torch.no_grad():
        dense = (value.to_dense() if value.is_sparse else value for value in values)
        found = [torch.linalg.vector_norm(value.detach().abs(), float("inf")) for value in dense if value.numel()]
        return not found or bool(torch.stack([norm.float() for norm in found]).isfinite().all())


def worst(values: Sequence[Tensor]) -> float:
    """NaN where a number in these is, else inf."""
    return float("nan") if any(bool(value.isnan().any()) for value in values) else float("inf")


def learning_rate(training: Training) -> float:
    """The largest of the groups'."""
    return max((float(group["lr"]) for group in training.optimizer.param_groups if "lr" in group), default=0.0)
