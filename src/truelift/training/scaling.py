"""Losses scaled up for float16, whose smallest numbers a gradient easily falls below."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from truelift.errors import DivergedError
from truelift.training.objectives import StepLosses

# Gradients that overflow even with losses scaled down so far are not float16's fault.
_LEAST = 2.0**-16

# What a gradient rule logs under these names is as large as the gradients are.
_LIKE_GRADIENTS = ("gradient_norm",)


class LossScale:
    """Gradients times a scale, and steps left out where they overflow; around torch's `GradScaler`.

    Losses keep their values, and what flows back from them is scaled. So a gradient rule sees true losses, and scaled
    gradients whatever it does with them: cosines do not depend on the scale, nor does the point that sharpness-aware
    minimisation climbs to. With SGD, AdamW and Adagrad, whose kernels skip a step by themselves, nothing waits for the
    device; with other optimizers each step does.

    Args:
        device: Where the training runs.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._scaler = GradScaler(self._device.type)

    def losses(self, found: StepLosses) -> StepLosses:
        """The same losses, from which scaled gradients flow."""
        scale = self._scale()
        return found._replace(losses={name: _scaled(loss, scale) for name, loss in found.losses.items()})

    def unscale(self, optimizer: Optimizer, logged: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Divide the gradients by the scale, and those of a rule's numbers that are as large as they are."""
        self._scaler.unscale_(optimizer)
        return {n: value / self._scale() if n in _LIKE_GRADIENTS else value for n, value in logged.items()}

    def step(self, optimizer: Optimizer) -> Tensor:
        """The optimizer's step, left out where a gradient is not finite; whether it was, a bool on the device."""
        before = self._scale()
        if isinstance(optimizer, torch.optim.SGD):
            _begin_momenta(optimizer)
        self._scaler.step(optimizer)
        self._scaler.update()
        return self._scale() < before

    def check(self, step: int) -> None:
        """Hold gradients to have been finite with some scale; it waits for the device.

        Raises:
            DivergedError: They were not with the smallest.
        """
        if self._scaler.get_scale() < _LEAST:
            raise DivergedError("loss's gradient", math.nan, step)

    def _scale(self) -> Tensor:
        return self._scaler.scale(torch.ones((), device=self._device))

    def state_dict(self) -> dict[str, Any]:
        """The scale, and the steps since it last changed."""
        return dict(self._scaler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._scaler.load_state_dict(state)


def _begin_momenta(optimizer: torch.optim.SGD) -> None:
    """Have fused SGD's momenta begin as zeros, from which its first step is the same.

    torch takes memory for them, has the kernel fill it in the first step, and the kernel fills nothing in a step that
    overflows: the step after would add whatever was in that memory. (`dampening`, where it is not 0, then dampens the
    first step like all others.)
    """
    for group in optimizer.param_groups:
        if group["fused"] and group["momentum"]:
            for p in group["params"]:
                if p.grad is not None and optimizer.state[p].get("momentum_buffer") is None:
                    optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p.grad)


class _Scaled(torch.autograd.Function):
    """The same number, whose gradient is scaled."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return gradients[0] * scale.to(gradients[0]), None


def _scaled(loss: Tensor, scale: Tensor) -> Tensor:
    found: Tensor = _Scaled.apply(loss, scale)  # type: ignore[no-untyped-call]
    return found
