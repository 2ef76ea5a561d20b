"""Batches of photographs, decoded while the device works. B photographs a batch, S the side of their squares."""

import copy
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from truelift.data.augment import augment, normalise
from truelift.data.augmentations import AugmentationOptions, Changes, batch_seed
from truelift.data.augmentations.base import NO_CHANGES
from truelift.data.batch import Batch
from truelift.data.crops import random_box
from truelift.data.order import WHOLE, EpochOrder, Sampling, Share
from truelift.data.photographs import Photographs
from truelift.data.preprocessing import Preprocess
from truelift.errors import InputError, printable
from truelift.processes import LINUX, end_with_parent
from truelift.seeds import derive

# In training, photographs tried one after the other in place of one that cannot be decoded.
_NEIGHBOURS = 100

# Batches that each worker is ahead.
_AHEAD = 2


class StreamedBatches:
    """`Batches` for photographs: the same interface, and as exact.

    A photograph's box and its mirroring come from (`augment_seed`, epoch, its number), what is changed on the device
    from (`augment_seed`, epoch, batch number), the order from (`order_seed`, epoch). So a batch is the same, bit for
    bit, whatever the number of workers and wherever the epoch was begun.

    A damaged photograph stops the training with its name or, where it is to be skipped, is named once and the next one
    of the set takes its place, so that every batch is full; evaluation leaves it out.

    Arguments that are not told here are as for `Batches`.

    Args:
        images: The photographs.
        augmentation: Resolved options, with a random resized crop; None: the centre of each photograph.
        sides: S in each epoch of the training, the last of them from there on; by default the photographs' own.
        device: Where the batches go. Decoding is the processor's.
        share: Decode and yield this part of every batch alone. What is changed on the device is drawn for each part.
        sampling: As there; a photograph that comes several times has the same box each time.

    Raises:
        InputError: The batch size is below 1, there is no photograph, or the augmentation does not fit.
    """

    def __init__(
        self,
        images: Photographs,
        batch_size: int,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        preprocess: Preprocess | None = None,
        order_seed: int | None = None,
        augmentation: AugmentationOptions | None = None,
        augment_seed: int | None = None,
        sides: Sequence[int] = (),
        device: torch.device | str = "cpu",
        share: Share = WHOLE,
        changes: Changes = NO_CHANGES,
        sampling: Sampling = "shuffle",
    ) -> None:
        self._order = EpochOrder(len(images), batch_size, order_seed, images.labels if sampling == "balanced" else None)
        self._photographs = images
        self._sides = tuple(sides) or (images.side,)
        self._device = torch.device(device)
        self._preprocess = preprocess or partial(normalise, mean=tuple(mean), std=tuple(std))
        self._augment_seed = augment_seed
        self._share = share
        self._changes = changes
        self._fill = torch.tensor(tuple(mean)).mul(255).round().to(self._device, torch.uint8)
        # Crop and mirror are the decoder's; the rest is the device's.
        self._rest = augmentation and replace(
            augmentation, crop_padding=0, resized_crop_area=None, flip=False, alternating_flip=False
        )
        if self._rest is not None:
            augment(torch.zeros(1, *images.shape, dtype=torch.uint8), self._rest, self._fill.cpu(), torch.Generator())
        if changes.named:
            black = torch.zeros(min(batch_size, len(images)), *images.shape, dtype=torch.uint8, device=self._device)
            changes.attempt(black, images.labels[:batch_size].to(self._device), self._preprocess)
        self._wanted = _Wanted()
        decoder = _Decoder(images, augmentation, augment_seed)
        self._loader = _loader(decoder, self._wanted, images.workers, self._device, keep=order_seed is not None)
        # The next step, and the rest of its epoch. No generator of ours, which would hold us: torch ends its processes
        # late, or never, where their loader is freed with a circle of references.
        self._running: tuple[int, Iterator[_Decoded]] | None = None

    @property
    def images(self) -> int:
        """Number of photographs; at least 1."""
        return len(self._photographs)

    @property
    def several_labels(self) -> bool:
        """Whether labels are uint8 (N, K), as of images that may have several."""
        return self._photographs.labels.ndim == 2

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches that `epoch` yields from its start; at least 1."""
        return self._order.batches

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of one epoch; one epoch at a time can be gone through.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of the first batch to yield, in 0..batches_per_epoch.
            stop: Number of the first batch not to yield, from `start` on. Default: all are.

        Yields:
            Images, float32 (B, 3, S, S), channels-last, normalised; and labels, int64 (B,), or uint8 (B, K) where
            `several_labels`.

        Raises:
            InputError: `start` or `stop` is out of range; or, while it runs, a photograph cannot be decoded.
        """
        numbers = self._order.numbers(start, stop)
        self._running = None  # its workers are this epoch's from now on
        return self._yield(epoch, numbers)

    def at(self, step: int) -> Batch:
        """The batch of a step counted over all epochs, at least 0; fast for one step after the other."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if self._running is None or self._running[0] != step or not number:
            self._running = (step, self._begun(epoch, self._order.numbers(number, None)))
        decoding = self._running[1]
        self._running = (step + 1, decoding)
        decoded = next(decoding)
        self._report(decoded)
        return self._finished(decoded, epoch, number)

    def first_share(self) -> "StreamedBatches":
        """The same photographs in the first process's share, whichever this one's is; it has the same workers."""
        made = copy.copy(self)
        made._share, made._running = Share(0, self._share.parts), None
        return made

    def _yield(self, epoch: int, numbers: range) -> Iterator[Batch]:
        seen = 0
        for number, decoded in zip(numbers, self._begun(epoch, numbers), strict=True):
            self._report(decoded)
            seen += len(decoded.labels)
            if len(decoded.labels):
                yield self._finished(decoded, epoch, number)
        if len(numbers) and not seen:
            count = len(self._photographs)
            raise InputError(f"none of {count} images can be decoded, the first is {self._photographs.place(0)}")

    def _begun(self, epoch: int, numbers: range) -> Iterator["_Decoded"]:
        """Have these batches decoded from now on."""
        order = self._order.epoch(epoch)
        side = self._sides[min(epoch, len(self._sides) - 1)]
        wanted = [self._share.of(self._order.batch(order, number)) for number in numbers]
        self._wanted.batches = [_Batch(epoch, side, places) for places in wanted]
        return _decoded(self._loader)

    def _finished(self, decoded: "_Decoded", epoch: int, number: int) -> Batch:
        labels = decoded.labels.to(self._device, non_blocking=True)
        images = decoded.pixels.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
        of_part = (self._share.part,) if self._share.part else ()
        if self._rest is not None and self._augment_seed is not None:
            generator = torch.Generator().manual_seed(derive(self._augment_seed, epoch, number, *of_part))
            images = augment(images, self._rest, self._fill, generator)
        seed = batch_seed(self._augment_seed or 0, epoch, number, *of_part)
        return self._changes.apply(images, labels, self._preprocess, seed)

    def _report(self, decoded: "_Decoded") -> None:
        """Stops where there is no batch; names each photograph that was skipped once."""
        photographs = self._photographs
        if decoded.failure is not None:
            raise InputError(decoded.failure)
        for number, reason in decoded.damaged.items():
            index = int(photographs.indices[number])
            if index not in photographs.damaged:
                photographs.damaged.add(index)
                told = printable(f"skipped {photographs.place(number)}: {reason}")
                print(f"truelift: warning: {told}", file=sys.stderr)


class _Batch(NamedTuple):
    """A batch to be made."""

    epoch: int
    side: int
    numbers: Tensor


class _Decoded(NamedTuple):
    """A batch as a worker hands it over."""

    pixels: Tensor
    """uint8 (B, S, S, 3)."""
    labels: Tensor
    damaged: dict[int, str]
    """Which photographs could not be decoded, and why."""
    failure: str | None = None
    """Why there is no batch at all."""


class _Wanted(Sampler[_Batch]):
    """The batches that the workers shall make, in order; filled anew for each epoch."""

    def __init__(self) -> None:
        self.batches: list[_Batch] = []

    def __iter__(self) -> Iterator[_Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Decoder(Dataset[_Decoded]):
    """From a batch's numbers to its pixels, in whatever process."""

    def __init__(
        self, photographs: Photographs, augmentation: AugmentationOptions | None, augment_seed: int | None
    ) -> None:
        self.photographs = photographs
        self.augmentation = augmentation
        self.augment_seed = augment_seed

    def __getitem__(self, batch: _Batch) -> _Decoded:
        """The batch; bad input comes as its `failure`, because an exception would arrive as a traceback."""
        nothing = torch.empty(0, dtype=torch.int64)
        try:
            return self._centres(batch) if self.augmentation is None else self._crops(batch, self.augmentation)
        except (InputError, OSError) as error:
            return _Decoded(nothing, nothing, {}, str(error))

    def _centres(self, batch: _Batch) -> _Decoded:
        pixels = torch.empty(len(batch.numbers), batch.side, batch.side, 3, dtype=torch.uint8)
        damaged: dict[int, str] = {}
        whole: list[int] = []
        for number in batch.numbers.tolist():
            square = self.photographs.centre(number)
            if isinstance(square, str):
                damaged[number] = square
            else:
                pixels[len(whole)] = square
                whole.append(number)
        return _Decoded(pixels[: len(whole)], self.photographs.labels[whole], damaged)

    def _crops(self, batch: _Batch, augmentation: AugmentationOptions) -> _Decoded:
        pixels = torch.empty(len(batch.numbers), batch.side, batch.side, 3, dtype=torch.uint8)
        damaged: dict[int, str] = {}
        shown = []
        for place, number in enumerate(batch.numbers.tolist()):
            whole, square = self._first_whole(number, batch, augmentation, damaged)
            pixels[place] = square
            shown.append(whole)
        return _Decoded(pixels, self.photographs.labels[shown], damaged)

    def _first_whole(
        self, number: int, batch: _Batch, augmentation: AugmentationOptions, damaged: dict[int, str]
    ) -> tuple[int, Tensor]:
        """Photograph `number`, or the next that can be decoded."""
        for next_one in range(number, number + _NEIGHBOURS):
            tried = next_one % len(self.photographs)
            square = self._crop(tried, batch, augmentation)
            if not isinstance(square, str):
                return tried, square
            damaged[tried] = square
        raise InputError(
            f"{_NEIGHBOURS} images one after the other cannot be decoded, the first is {self.photographs.place(number)}"
        )

    def _crop(self, number: int, batch: _Batch, augmentation: AugmentationOptions) -> Tensor | str:
        assert self.augment_seed is not None
        assert augmentation.resized_crop_area is not None
        random = Random(derive(self.augment_seed, batch.epoch, "photograph", number))
        mirrored = random.random() < 0.5 and bool(augmentation.flip)
        if augmentation.alternating_flip:
            first = Random(derive(self.augment_seed, "alternating flip", number)).random() < 0.5
            mirrored = first != bool(batch.epoch % 2)
        choose = cache(partial(random_box, least_area=augmentation.resized_crop_area, random=random))
        square = self.photographs.cut(number, choose, batch.side)
        return square.flip(1) if mirrored and not isinstance(square, str) else square


def _loader(
    decoder: _Decoder, wanted: _Wanted, workers: int, device: torch.device, *, keep: bool
) -> DataLoader[_Decoded]:
    """A loader whose every item is a whole batch: workers then share nothing but finished batches."""
    return DataLoader(
        decoder,
        batch_size=None,
        sampler=wanted,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        # Forked, which Python's default is no more: `end_with_parent` looks for the training as the parent.
        multiprocessing_context="fork" if workers and LINUX else None,
        persistent_workers=keep and workers > 0,
        pin_memory=device.type == "cuda",
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # else it would draw from the global one
        worker_init_fn=partial(_begin_worker, os.getpid()),
    )


def _decoded(loader: DataLoader[_Decoded]) -> Iterator[_Decoded]:
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(f"a decoding process ended ({error}); fewer --data.workers need less memory") from None


def _begin_worker(parent: int, number: int) -> None:
    """A decoding process ends with the training, never before: Ctrl-C and SIGTERM, sent to all, are the training's.

    A SIGTERM that the training itself sends is torch's last means to end it, and ends it at once.
    """
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if LINUX:  # which tells who sent a signal that is waited for
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_by_sigterm, args=(parent,), daemon=True).start()
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_by_sigterm(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)  # another status would raise an error in the training


def _as_it_is(decoded: Any) -> Any:
    return decoded
