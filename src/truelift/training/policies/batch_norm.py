"""How fast batch norm's running statistics follow the batches."""

from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from truelift.training.policies.base import Policy, Progress


class BatchNormMomentum(Policy):
    """Sets the weight of the newest batch in batch norm's running statistics.

    "dynamic" is 1/(1+n), n batches since the epoch began: the running statistics are then the plain mean over the
    epoch's batches (gcr/torch-residual-networks).
    """

    name = "batch_norm_momentum"

    def __init__(self, network: nn.Module, momentum: float | Literal["dynamic"]) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self.momentum = momentum
        if not isinstance(momentum, str):
            self._set(momentum)  # at once: what is compiled before the first step has it

    def __call__(self, progress: Progress) -> None:
        """Set every batch norm's momentum for the coming step."""
        self._set(1 / (1 + progress.step_in_epoch) if isinstance(self.momentum, str) else self.momentum)

    def _set(self, momentum: float) -> None:
        for norm in self.norms:
            norm.momentum = momentum
