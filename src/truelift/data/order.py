"""Which images make which batch. N images, B a batch."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from truelift.errors import InputError, whole
from truelift.seeds import derive


@dataclass(frozen=True)
class Share:
    """One of several equal parts, in order; by default all there is."""

    part: int = 0
    """From 0."""
    parts: int = 1

    def range(self, length: int) -> range:
        """The part's places among so many; parts differ by one place at most."""
        return range(length * self.part // self.parts, length * (self.part + 1) // self.parts)

    def of(self, batch: Tensor) -> Tensor:
        """The part's rows."""
        mine = self.range(len(batch))
        return batch[mine.start : mine.stop]


WHOLE = Share()

Sampling = Literal["shuffle", "balanced"]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Which training images an epoch shows."""

    sampling: Sampling = "shuffle"
    """Training images of an epoch. shuffle: each once. balanced: the same number of images, each class equally often;
    images of small classes come several times, and some of large ones only in another epoch."""


def balanced(labels: Tensor, generator: torch.Generator) -> Tensor:
    """An epoch of N images in which each class comes as often as any other.

    Formula, with n_k of the N images of class k, and K classes that have any: class k is shown q_k times, ⌊N/K⌋ or one
    more (which of them is drawn, so that Σ q_k = N), and each of its images ⌊q_k / n_k⌋ times or once more (which of
    them is drawn). The order is drawn.

    Args:
        labels: int64 (N,), class numbers.
        generator: On the CPU.

    Returns:
        int64 (N,), numbers of images.

    Source:
        The chances are those of a sampler that draws image i with probability 1 / (K·n_k), as torch's
        WeightedRandomSampler does; here the counts have no more noise than rounding.
    """
    order = labels.cpu().argsort(stable=True)
    counts = labels.cpu().bincount()
    classes = counts.nonzero()[:, 0]
    starts = counts.cumsum(0) - counts
    quotas = torch.full((len(classes),), len(labels) // len(classes))
    quotas[torch.randperm(len(classes), generator=generator)[: len(labels) % len(classes)]] += 1
    shown = []
    for number, quota in zip(classes.tolist(), quotas.tolist(), strict=True):
        mine = order[starts[number] : starts[number] + counts[number]]
        often, more = divmod(quota, len(mine))
        shown += [*[mine] * often, mine[torch.randperm(len(mine), generator=generator)[:more]]]
    images = torch.cat(shown)
    return images[torch.randperm(len(images), generator=generator)]


class EpochOrder:
    """Numbers of images, epoch by epoch and batch by batch, from a seed and the place alone.

    Args:
        images: N, at least 1.
        batch_size: B, at least 1.
        seed: Shuffles anew each epoch, and the last batch is dropped where it is smaller than the others (a set smaller
            than one batch is one batch). None: stored order, and every image.
        labels: Where given, int64 (N,), an epoch is drawn by `balanced`, not each image once.

    Raises:
        InputError: N or B is below 1.
    """

    def __init__(self, images: int, batch_size: int, seed: int | None, labels: Tensor | None = None) -> None:
        whole("batch_size", batch_size, 1)
        if images == 0:
            raise InputError("batches need at least one image, got 0")
        self._images = images
        self._batch_size = batch_size
        self._seed = seed
        self._labels = labels

    @property
    def batches(self) -> int:
        """Batches an epoch, at least 1."""
        whole, rest = divmod(self._images, self._batch_size)
        return whole + (rest > 0) if self._seed is None else max(whole, 1)

    def epoch(self, epoch: int) -> Tensor:
        """The whole epoch, int64 (N,), on the CPU."""
        if self._seed is None:
            return torch.arange(self._images)
        generator = torch.Generator().manual_seed(derive(self._seed, epoch))
        if self._labels is not None:
            return balanced(self._labels, generator)
        return torch.randperm(self._images, generator=generator)

    def batch(self, order: Tensor, number: int) -> Tensor:
        """Batch `number` of an epoch's order, (B,) or fewer."""
        return order[number * self._batch_size :][: self._batch_size]

    def numbers(self, start: int, stop: int | None) -> range:
        """The batches from `start` to the one before `stop`, by default to the last.

        Raises:
            InputError: Not 0 ≤ `start` ≤ `stop` ≤ batches.
        """
        stop = self.batches if stop is None else stop
        if not 0 <= stop <= self.batches:
            raise InputError(f"stop must be in 0..{self.batches}, got {stop}")
        if not 0 <= start <= stop:
            raise InputError(f"start must be in 0..{stop}, got {start}")
        return range(start, stop)
