"""Images in memory, and the splits of a data set. N images, C channels (1 gray or 3 RGB), H rows, W columns."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from truelift.data.digest import DataState
from truelift.data.photographs import Photographs

# Images counted at a time: the temporaries stay some megabytes, whatever the size of the set.
_CHUNK = 256


@dataclass(frozen=True)
class ImageSet:
    """Images and their labels, on one device.

    Attributes:
        images: uint8 (N, C, H, W), stored channels-last, values 0..255.
        labels: Class numbers, int64 (N,); or of several labels an image uint8 (N, K), 1 where it has the class's label.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> torch.Size:
        """Of one image, (C, H, W)."""
        return self.images.shape[1:]

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set on `device`; nothing is copied where it is there already."""
        return ImageSet(self.images.to(device), self.labels.to(device))

    def subset(self, indices: Tensor) -> "ImageSet":
        """The images at `indices`, int64 (M,), in that order; still channels-last.

        Raises:
            IndexError: An index is outside 0..N-1.
        """
        indices = indices.to(self.labels.device)
        # Rows of the (N, H, W, C) view are contiguous, so that each image is one copy.
        pixels = self.images.permute(0, 2, 3, 1).index_select(0, indices)
        return ImageSet(pixels.permute(0, 3, 1, 2), self.labels.index_select(0, indices))

    def histogram(self) -> Tensor:
        """How often each value occurs in each channel, int64 (C, 256)."""
        channels = self.images.shape[1]
        counts = torch.zeros(channels, 256, dtype=torch.int64, device=self.images.device)
        for chunk in torch.split(self.images, _CHUNK):
            for c in range(channels):
                counts[c] += torch.bincount(chunk[:, c].flatten(), minlength=256)
        return counts


Images = ImageSet | Photographs
"""Decoded, in memory; or to be decoded whenever they are wanted."""


@dataclass(frozen=True)
class Splits:
    """What an experiment needs of a data set.

    Attributes:
        train: The images to train on.
        validation: The images to choose settings by, or None where none are wanted.
        test: The images to report on.
        classes: The name of each class, by class number.
        skipped: How many images could not be decoded and were left out of the three sets when they were loaded.
        auxiliary: Training images of another task, where there is one, with its own labels.
        state: Tells the data set from a changed one; None where it was not recorded.
    """

    train: Images
    validation: Images | None
    test: Images
    classes: tuple[str, ...]
    skipped: int
    auxiliary: Images | None = None
    state: DataState | None = None

    @property
    def skipped_images(self) -> int:
        """How many images could not be decoded; of photographs, those found so far."""
        streamed = [part for part in (self.train, self.validation, self.test) if isinstance(part, Photographs)]
        # Splits cut from one listing number their photographs alike.
        return self.skipped + len({(id(part.listing), index) for part in streamed for index in part.damaged})

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How many training images have each class's label."""
        labels = self.train.labels
        counts = labels.sum(0) if labels.ndim == 2 else labels.bincount(minlength=len(self.classes))
        return tuple(counts.tolist())

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel over the training images, of photographs a sample, in [0, 1]."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel over the training images, at least 1/255.

        The floor, one gray level, is met only by a channel that hardly varies; it keeps normalisation finite.
        """
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        # A histogram holds all there is to know, in exact integers, and needs no copy of the images as floats.
        value = torch.arange(256, dtype=torch.float64)
        count = self.train.histogram().cpu().double()
        share = count / count.sum(1, keepdim=True)
        mean = share @ value
        variance = (share * (value - mean[:, None]).square()).sum(1)
        std = variance.sqrt().clamp(min=1.0)  # one gray level
        return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
