"""What is worth saying before a training begins, and is no reason to refuse it."""

from collections.abc import Iterator

from truelift.data import Splits
from truelift.training.hardware import slow_precision
from truelift.training.parts import Training


def cautions(training: Training, splits: Splits) -> Iterator[str]:
    """A sentence for each setting that does not do here what whoever chose it may expect."""
    slow = slow_precision(training.precision, training.device)
    if slow is not None:
        yield slow
    batch, images = training.experiment.batch_size, len(splits.train)
    if batch > images:
        yield f"batch_size {batch:,} is more than the {images:,} training images: every step takes all of them."
    sizes, epochs = len(training.experiment.data.progressive or ()), training.epochs
    if sizes > epochs:
        yield f"data.progressive has {sizes} sizes and the training {epochs} epochs: the last sizes are never used."
