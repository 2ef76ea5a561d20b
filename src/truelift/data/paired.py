"""Two tasks' batches, step by step."""

from collections.abc import Iterator

from truelift.data.batch import Batch
from truelift.data.make import ImageBatches


class PairedBatches:
    """The batches of a main task, each with that of an auxiliary task for the same step.

    The auxiliary batches are counted by steps of the main task: a set that is shorter or longer than the main one
    begins anew by itself, when its own epoch ends.

    Args:
        main: The main task's batches; epochs and steps are theirs.
        auxiliary: The auxiliary task's.
    """

    def __init__(self, main: ImageBatches, auxiliary: ImageBatches) -> None:
        self.main = main
        self.auxiliary = auxiliary

    @property
    def images(self) -> int:
        """Number of the main task's images; at least 1."""
        return self.main.images

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in an epoch of the main task; at least 1."""
        return self.main.batches_per_epoch

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The main batches of one epoch, each with its auxiliary one.

        Args:
            epoch: Number of the main task's epoch, from 0.
            start: Number of the first batch to yield, in 0..batches_per_epoch.
            stop: Number of the first batch not to yield, from `start` on. Default: all are.

        Raises:
            InputError: `start` or `stop` is out of range.
        """
        batches = self.main.epoch(epoch, start, stop)
        return self._paired(batches, epoch * self.batches_per_epoch + start)

    def at(self, step: int) -> Batch:
        """The batch of a step counted over all epochs of the main task, at least 0."""
        return self.main.at(step)._replace(auxiliary=self.auxiliary.at(step))

    def _paired(self, batches: Iterator[Batch], first_step: int) -> Iterator[Batch]:
        for step, batch in enumerate(batches, start=first_step):
            yield batch._replace(auxiliary=self.auxiliary.at(step))
