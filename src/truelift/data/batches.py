"""Batches from images that lie on the device whole. B images a batch, C channels, H rows, W columns."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from truelift.data.augment import augment, normalise
from truelift.data.dataset import ImageSet
from truelift.data.options import AugmentationOptions
from truelift.errors import InputError
from truelift.seeds import derive


class Batches:
    """Epochs of normalised batches, for training (`order_seed` given) or evaluation (without).

    Randomness is a function of the place, not of the history: the order of an epoch comes from (`order_seed`, epoch)
    and a batch's augmentation from (`augment_seed`, epoch, batch number). So a run that goes on in the middle of an
    epoch sees exactly what an undisturbed one sees, and there is no generator state to save. Draws are made on the CPU
    and so do not depend on the device.

    In training the last batch is dropped where it is smaller than the others: batch norm's statistics over a handful
    of images, down to a single one, would disturb an otherwise normal step. With a new order each epoch no image is
    left out for good. A set smaller than one batch is one batch. In evaluation each image comes once, in stored order.

    Args:
        images: The images; moved to `device` as a whole, in 8 bits.
        batch_size: B, at least 1.
        mean: Of each channel, in [0, 1].
        std: Of each channel, in the same unit, above 0.
        order_seed: Shuffles anew each epoch; None keeps the stored order and every image.
        augmentation: Resolved options (see `resolve_augmentation`), or None for no augmentation.
        augment_seed: Needed with `augmentation`, and only then.
        device: Where the batches are made.

    Raises:
        InputError: The batch size is below 1, there is no image, only one of `augmentation` and `augment_seed` is
            given, or the augmentation does not fit the images' size.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        order_seed: int | None = None,
        augmentation: AugmentationOptions | None = None,
        augment_seed: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        if len(images) == 0:
            raise InputError("batches need at least one image, got 0")
        if (augmentation is None) != (augment_seed is None):
            raise InputError(
                "augmentation and augment_seed must be given together, "
                f"got augmentation={augmentation} and augment_seed={augment_seed}"
            )
        self._images = images.to(device)
        self._batch_size = batch_size
        self._mean = tuple(mean)
        self._std = tuple(std)
        self._order_seed = order_seed
        self._augmentation = augmentation
        self._augment_seed = augment_seed
        self._last_order: tuple[int, Tensor] | None = None
        self._fill = torch.tensor(self._mean).mul(255).round().to(self._images.images.device, torch.uint8)
        if augmentation is not None:  # options that do not fit the images are refused here, not at the first batch
            augment(self._images.images[:1], augmentation, self._fill, torch.Generator())

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches that `epoch` yields from its start; at least 1."""
        whole, rest = divmod(len(self._images), self._batch_size)
        if self._order_seed is None:
            return whole + (rest > 0)
        return max(whole, 1)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of the first batch to yield, in 0..batches_per_epoch.

        Yields:
            Images, float32 (B, C, H, W), channels-last, normalised; and labels, int64 (B,).

        Raises:
            InputError: `start` is out of range.
        """
        if not 0 <= start <= self.batches_per_epoch:
            raise InputError(f"start must be in 0..{self.batches_per_epoch}, got {start}")
        return self._yield(epoch, start)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step counted over all epochs, at least 0: as from `epoch`, without going through it."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if self._last_order is None or self._last_order[0] != epoch:
            self._last_order = (epoch, self._order(epoch))
        return self._batch(self._last_order[1], epoch, number)

    def _yield(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = self._order(epoch)
        for number in range(start, self.batches_per_epoch):
            yield self._batch(order, epoch, number)

    def _batch(self, order: Tensor, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        at = number * self._batch_size
        batch = self._images.subset(order[at : at + self._batch_size])
        images = batch.images
        if self._augmentation is not None and self._augment_seed is not None:
            generator = torch.Generator().manual_seed(derive(self._augment_seed, epoch, number))
            images = augment(images, self._augmentation, self._fill, generator)
        return normalise(images, self._mean, self._std), batch.labels

    def _order(self, epoch: int) -> Tensor:
        """The order of the images in `epoch`, int64 (N,), on the device."""
        if self._order_seed is None:
            order = torch.arange(len(self._images))
        else:
            generator = torch.Generator().manual_seed(derive(self._order_seed, epoch))
            order = torch.randperm(len(self._images), generator=generator)
        return order.to(self._images.labels.device)
