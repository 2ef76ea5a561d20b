"""Second seam: from named losses to gradients."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from truelift.training.objectives import StepLosses

Again = Callable[[], StepLosses]
"""Makes the step's forward pass once more, with the weights as they are then."""


class GradientRule(Protocol):
    """Leaves in each parameter's `.grad` the direction that the optimizer shall follow."""

    def backward(self, losses: Mapping[str, Tensor], again: Again) -> dict[str, Tensor]:
        """Work backwards from the losses; returns scalars worth logging, by name. Their means over steps are logged.

        Args:
            losses: Of the forward pass that was made, the main one first.
            again: Makes it again, for rules that look at the losses elsewhere.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs; empty for a rule without memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        ...


class SumOfLosses:
    """The gradient of the sum of all losses."""

    def backward(self, losses: Mapping[str, Tensor], again: Again) -> dict[str, Tensor]:
        """One backward pass."""
        torch.autograd.backward(list(losses.values()))
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""
