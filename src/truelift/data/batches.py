"""Batches from images that lie on the device whole. B images a batch, C channels, H rows, W columns."""

import copy
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from truelift.data.augment import alternating, augment, normalise, shrunk
from truelift.data.augmentations import AugmentationOptions, Changes, batch_seed
from truelift.data.augmentations.base import NO_CHANGES
from truelift.data.batch import Batch
from truelift.data.dataset import ImageSet
from truelift.data.order import WHOLE, EpochOrder, Sampling, Share
from truelift.data.preprocessing import Preprocess
from truelift.errors import InputError, require
from truelift.seeds import derive
from truelift.techniques.devices import moved

# Images at a time where all are gone through in stored order.
_CHUNK = 256


class Batches:
    """Epochs of normalised batches, for training (`order_seed` given) or evaluation (without).

    Randomness is a function of the place, not of the history: the order of an epoch comes from (`order_seed`, epoch)
    and a batch's augmentation from (`augment_seed`, epoch, batch number). So a run that goes on in the middle of an
    epoch sees exactly what an undisturbed one sees, and there is no generator state to save. Draws are made on the CPU
    and so do not depend on the device.

    In training the last batch is dropped where it is smaller than the others: batch norm's statistics over a handful
    of images, down to a single one, would disturb an otherwise normal step. With a new order each epoch no image is
    left out for good. A set smaller than one batch is one batch. In evaluation each image comes once, in stored order.

    With `augmentation.views` the augmentation comes from (`augment_seed`, view) instead, and epoch e uses view e modulo
    their number: what is shown in an epoch then depends on the view alone.

    Args:
        images: The images; moved to `device` as a whole, in 8 bits.
        batch_size: B, at least 1.
        mean: Of each channel, in [0, 1].
        std: Of each channel, in the same unit, above 0.
        preprocess: In place of the normalisation by `mean` and `std` (see `fit_preprocessing`).
        order_seed: Shuffles anew each epoch; None keeps the stored order and every image.
        augmentation: Resolved options (see `resolve_augmentation`), or None for no augmentation.
        augment_seed: Needed with `augmentation`, and only then.
        device: Where the batches are made.
        sides: The side of the images in each epoch, the last one for all that follow: they are made smaller behind
            everything else, by `shrunk`. Default: their own.
        share: Yield this part of every batch alone: what one process would have, shared out among several.
        changes: What else is changed in training batches, drawn from (`augment_seed`, epoch, batch number) too.
        sampling: Which images an epoch of training shows (see `SamplingOptions`).

    Raises:
        InputError: The batch size is below 1, there is no image, only one of `augmentation` and `augment_seed` is
            given, the augmentation does not fit the images' size, or a side is larger than the images', or they are not
            square.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        preprocess: Preprocess | None = None,
        order_seed: int | None = None,
        augmentation: AugmentationOptions | None = None,
        augment_seed: int | None = None,
        device: torch.device | str = "cpu",
        sides: Sequence[int] = (),
        share: Share = WHOLE,
        changes: Changes = NO_CHANGES,
        sampling: Sampling = "shuffle",
    ) -> None:
        self._order = EpochOrder(len(images), batch_size, order_seed, images.labels if sampling == "balanced" else None)
        if (augmentation is None) != (augment_seed is None):
            raise InputError(
                "augmentation and augment_seed must be given together, "
                f"got augmentation={augmentation} and augment_seed={augment_seed}"
            )
        self._images = images.to(device)
        self._preprocess = preprocess or partial(normalise, mean=tuple(mean), std=tuple(std))
        self._augmentation = augmentation
        self._augment_seed = augment_seed
        self._sides = tuple(sides)
        _, height, width = images.shape
        if any(side != height for side in self._sides):
            if height != width:
                raise InputError(f"data.progressive must be left out where images are not square, got {width}x{height}")
            require("data.progressive", max(self._sides), max(self._sides) <= height, f"at most the images' {height}")
        self._share = share
        self._changes = changes
        self._views: dict[int, ImageSet] = {}
        self._last_order: tuple[int, Tensor] | None = None
        self._last_mirrored: tuple[int, Tensor] | None = None
        self._fill = torch.tensor(tuple(mean)).mul(255).round().to(self._images.images.device, torch.uint8)
        if augmentation is not None:  # options that do not fit the images are refused here, not at the first batch
            augment(self._images.images[:1], augmentation, self._fill, torch.Generator())
        if changes.named:
            some = self._images.subset(torch.arange(min(batch_size, len(self._images))))
            changes.attempt(some.images, some.labels, self._preprocess)

    @property
    def images(self) -> int:
        """Number of images; at least 1."""
        return len(self._images)

    @property
    def several_labels(self) -> bool:
        """Whether labels are uint8 (N, K), as of images that may have several."""
        return self._images.labels.ndim == 2

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches that `epoch` yields from its start; at least 1."""
        return self._order.batches

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of the first batch to yield, in 0..batches_per_epoch.
            stop: Number of the first batch not to yield, from `start` on. Default: all are.

        Yields:
            Images, float32 (B, C, H, W), channels-last, normalised; and labels, int64 (B,), or uint8 (B, K) where
            `several_labels`.

        Raises:
            InputError: `start` or `stop` is out of range.
        """
        return self._yield(epoch, self._order.numbers(start, stop))

    def at(self, step: int) -> Batch:
        """The batch of a step counted over all epochs, at least 0: as from `epoch`, without going through it."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if self._last_order is None or self._last_order[0] != epoch:
            self._last_order = (epoch, self._ordered(epoch))
        return self._batch(self._last_order[1], epoch, number)

    def first_share(self) -> "Batches":
        """The same images in the first process's share, whichever this one's is."""
        made = copy.copy(self)
        made._share = Share(0, self._share.parts)
        return made

    def view(self, epoch: int) -> int:
        """Number of the epoch's view; always 0 where they are not counted."""
        views = None if self._augmentation is None else self._augmentation.views
        return epoch % (views or 1)

    def indices(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Which images `epoch` yields: their places in the stored order, int64 (B,), and their labels, as `epoch`'s."""
        order = self._ordered(epoch)
        for number in range(start, self.batches_per_epoch):
            indices = self._order.batch(order, number)
            yield indices, self._images.labels.index_select(0, indices)

    def stored(self, epoch: int) -> Iterator[Tensor]:
        """All images as they are shown in an epoch, in stored order, normalised; in batches of their own size.

        They do not change from epoch to epoch of one `view` where there is no augmentation but that of views.
        """
        for images in torch.split(self._shown(epoch).images, _CHUNK):
            yield self._preprocess(images)

    def _yield(self, epoch: int, numbers: range) -> Iterator[Batch]:
        order = self._ordered(epoch)
        for number in numbers:
            yield self._batch(order, epoch, number)

    def _batch(self, order: Tensor, epoch: int, number: int) -> Batch:
        indices = self._order.batch(order, number)
        batch = self._shown(epoch).subset(indices)
        images = batch.images
        if self._augmentation is not None and self._augmentation.views is None and self._augment_seed is not None:
            generator = torch.Generator().manual_seed(derive(self._augment_seed, epoch, number))
            mirrored = self._mirrored(epoch)
            mine = None if mirrored is None else mirrored.index_select(0, indices)
            images = augment(images, self._augmentation, self._fill, generator, mine)
        seed = batch_seed(self._augment_seed or 0, epoch, number)
        made = self._changes.apply(images, batch.labels, self._preprocess, seed, self._share)
        side = self._sides[min(epoch, len(self._sides) - 1)] if self._sides else images.shape[2]
        return made if side == images.shape[2] else made._replace(images=shrunk(made.images, side))

    def _shown(self, epoch: int) -> ImageSet:
        """The images, or the epoch's view of them, which is made when it is first wanted."""
        view = self.view(epoch)
        if self._augmentation is None or self._augmentation.views is None or self._augment_seed is None:
            return self._images
        if view not in self._views:
            seed, parts = derive(self._augment_seed, "view", view), []
            mirrored = self._mirrored(view)
            for number, images in enumerate(torch.split(self._images.images, _CHUNK)):
                generator = torch.Generator().manual_seed(derive(seed, number))
                mine = None if mirrored is None else mirrored[number * _CHUNK :][: len(images)]
                parts.append(augment(images, self._augmentation, self._fill, generator, mine))
            self._views[view] = ImageSet(torch.cat(parts), self._images.labels)
        return self._views[view]

    def _mirrored(self, epoch: int) -> Tensor | None:
        """Which images are mirrored in `epoch`, bool (N,), on the device; None where that is drawn batch by batch."""
        if self._augmentation is None or not self._augmentation.alternating_flip or self._augment_seed is None:
            return None
        if self._last_mirrored is None or self._last_mirrored[0] != epoch:
            found = alternating(len(self._images), derive(self._augment_seed, "alternating flip"), epoch)
            self._last_mirrored = (epoch, moved(found, self._images.labels.device))
        return self._last_mirrored[1]

    def _ordered(self, epoch: int) -> Tensor:
        """The order of the images in `epoch`, int64 (N,), on the device."""
        return moved(self._order.epoch(epoch), self._images.labels.device)
