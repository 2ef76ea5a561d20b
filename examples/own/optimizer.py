"""An optimizer of one's own: optimizer.name = "examples/own/optimizer.py:Lion"; torch's, as "torch.optim:NAdam"."""

from collections.abc import Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """The sign of an interpolated momentum; Chen et al., 2023, arXiv 2302.06675."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.99,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "beta1": beta1, "beta2": beta2})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.lerp(p.grad, momentum, group["beta1"]).sign(), alpha=-group["lr"])
                momentum.lerp_(p.grad, 1 - group["beta2"])
