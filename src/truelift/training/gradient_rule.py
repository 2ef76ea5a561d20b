"""Second seam: from named losses to gradients."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor


class GradientRule(Protocol):
    """Leaves in each parameter's `.grad` the direction that the optimizer shall follow."""

    def backward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Work backwards from the losses; returns scalars worth logging, by name. Their means over steps are logged."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """What a resumed run needs; empty for a rule without memory."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        ...


class SumOfLosses:
    """The gradient of the sum of all losses."""

    def backward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One backward pass."""
        torch.autograd.backward(list(losses.values()))
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing."""
