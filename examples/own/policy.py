"""A policy of one's own, a class with FreezeOut's interface: policy.names = ["examples/own/policy.py:FreezeFirst"]."""

from typing import Any

from torch import nn


class FreezeFirst:
    """The first convolution stops training after a share of the steps."""

    def __init__(self, network: nn.Module, steps: int, after: float = 0.5) -> None:
        self.layer = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
        self.last_step = after * steps
        self.made = 0

    @property
    def frozen(self) -> int:
        return int(not self.layer.weight.requires_grad)

    def step(self) -> None:
        self.layer.requires_grad_(self.made < self.last_step)
        self.made += 1

    def state_dict(self) -> dict[str, Any]:
        return {"made": self.made}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.made = state["made"]
