"""A second task on the same trunk, with images of its own, as an objective. N images, D features, K classes."""

import torch.nn.functional as F
from torch import Tensor, nn

from truelift.data import Batch
from truelift.errors import InputError
from truelift.models import Classifier
from truelift.techniques.gradient_similarity import TaskStatistics
from truelift.training.objectives.base import ClassGaussians, Objective, ParameterRule, StepLosses

_NAME = "auxiliary"


class AuxiliaryTask(Objective):
    """The main objective's losses, and "auxiliary": cross entropy of another head on the batch's auxiliary part.

    The two batches go through the trunk one after the other: in one pass, batch norm would mix their statistics and
    change the main gradient. Whose batches move the running statistics, `statistics` says.

    Args:
        main: The main objective.
        head: From features (N, D) to the auxiliary classes.
        statistics: Of the network, for two tasks.
    """

    def __init__(self, main: Objective, head: nn.Module, statistics: TaskStatistics) -> None:
        super().__init__()
        self.main = main
        self.head = head
        self.statistics = statistics

    def forward(self, network: Classifier, batch: Batch) -> StepLosses:
        """The main losses first, then the auxiliary one; the error is the main task's.

        Raises:
            InputError: A part of the main loss has the auxiliary one's name.
        """
        assert batch.auxiliary is not None, "`build` pairs the batches of both tasks"
        main = self.main(network, batch)
        if _NAME in main.losses:
            raise InputError(f'the loss must give its parts other names than "{_NAME}", which is the second task\'s.')
        with self.statistics.task(1):
            logits = self.head(network.features(batch.auxiliary.images))
        auxiliary = F.cross_entropy(logits.float(), batch.auxiliary.labels)
        return StepLosses({**main.losses, _NAME: auxiliary}, main.error)

    def logits(self, network: Classifier, images: Tensor) -> Tensor:
        """The main objective's."""
        return self.main.logits(network, images)

    def set_step(self, step: int) -> None:
        """The number of steps made."""
        self.main.set_step(step)

    def parameter_rules(self, network: Classifier) -> list[ParameterRule]:
        """The main objective's."""
        return self.main.parameter_rules(network)

    def log_likelihood(self, network: Classifier, features: Tensor) -> Tensor | None:
        """The main objective's."""
        return self.main.log_likelihood(network, features)

    def gaussians(self, network: Classifier) -> ClassGaussians | None:
        """The main objective's."""
        return self.main.gaussians(network)
