"""A second task on the same trunk, with images of its own, as an objective."""

import torch.nn.functional as F
from torch import Tensor, nn

from truelift.data import ImageBatches
from truelift.models import Classifier
from truelift.techniques.gradient_similarity import TaskStatistics
from truelift.training.objective import Objective


class AuxiliaryTask(Objective):
    """The main objective's losses, and "auxiliary": cross entropy of another head on another batch.

    The two batches go through the trunk one after the other: in one pass, batch norm would mix their statistics and
    change the main gradient. Whose batches move the running statistics, `statistics` says.

    Args:
        main: The main objective.
        head: From features (N, D) to the auxiliary classes.
        batches: The auxiliary images; a set shorter or longer than the main one begins anew by itself.
        statistics: Of the network, for two tasks.
    """

    def __init__(self, main: Objective, head: nn.Module, batches: ImageBatches, statistics: TaskStatistics) -> None:
        super().__init__()
        self.main = main
        self.head = head
        self.batches = batches
        self.statistics = statistics
        self._step = 0

    def forward(self, network: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The main losses first, then the auxiliary one on its own batch for this step."""
        losses = self.main(network, images, labels)
        self.error = self.main.error
        auxiliary_images, auxiliary_labels = self.batches.at(self._step)
        with self.statistics.task(1):
            logits = self.head(network.features(auxiliary_images))
        return {**losses, "auxiliary": F.cross_entropy(logits.float(), auxiliary_labels)}

    def logits(self, network: Classifier, images: Tensor) -> Tensor:
        """The main objective's."""
        return self.main.logits(network, images)

    def set_step(self, step: int) -> None:
        """So many steps are made: the next auxiliary batch is this step's."""
        self._step = step
        self.main.set_step(step)
