"""Two tasks' batches, step by step."""

from collections.abc import Iterator

from truelift.data.batch import Batch
from truelift.data.make import ImageBatches


class PairedBatches:
    """The main task's batches, each with the auxiliary task's batch of the same step.

    Args:
        main: They say how many steps an epoch has.
        auxiliary: A set shorter or longer than the main one begins anew by itself.
    """

    def __init__(self, main: ImageBatches, auxiliary: ImageBatches) -> None:
        self.main = main
        self.auxiliary = auxiliary

    @property
    def batches_per_epoch(self) -> int:
        """The main task's."""
        return self.main.batches_per_epoch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from `start` on."""
        first = epoch * self.batches_per_epoch + start
        for step, batch in enumerate(self.main.epoch(epoch, start), first):
            yield batch._replace(auxiliary=self.auxiliary.at(step))
