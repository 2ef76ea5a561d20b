"""CutMix: a box of each image replaced by that of another. N images, C channels, H×W pixels, K classes."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from truelift.errors import real, whole
from truelift.options import Only, above
from truelift.techniques.batches import check_batch, check_count
from truelift.techniques.devices import moved
from truelift.techniques.mixup import beta
from truelift.techniques.soft_labels import mixed_labels

Box = tuple[int, int, int, int]
"""First row, the row behind the last, first column, the column behind the last."""


def cutmix(images: Tensor, labels: Tensor, box: Box, partners: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The pixels in a box from x[partners], all others from x; labels by the share of the pixels.

    Args:
        images: x, (N, C, H, W).
        labels: int64 (N,) in 0..K-1, or the share of each class, float32 (N, K).
        box: Within the image; it may be empty.
        partners: int64 (N,), for each image the number of another in the batch.
        classes: K, at least 2.

    Returns:
        Images of the same shape and layout, and the share of each class, float32 (N, K).

    Raises:
        InputError: A number or a label is out of range, or labels are of another form.
    """
    top, bottom, left, right = box
    cut = images.clone()
    cut[:, :, top:bottom, left:right] = images[partners, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    return cut, mixed_labels(labels, partners, kept, classes)


def draw_box(weight: float, height: int, width: int, generator: torch.Generator) -> Box:
    """A box of √(1 − w) of either side about a random centre, cut off at the image's border."""
    share = (1 - weight) ** 0.5
    rows, columns = int(height * share), int(width * share)
    row = int(torch.randint(height, (), generator=generator))
    column = int(torch.randint(width, (), generator=generator))
    return (
        max(row - rows // 2, 0),
        min(row + rows // 2, height),
        max(column - columns // 2, 0),
        min(column + columns // 2, width),
    )


@dataclass(frozen=True, kw_only=True)
class CutMixOptions:
    """Options of CutMix."""

    cutmix_alpha: Annotated[float, above(0, 1000), Only("names", "cutmix")] = 1.0
    """cutmix: one minus the box's share of the image is drawn from Beta(α, α); above 0. 1 is even."""


class CutMix:
    """Mixes every batch with itself in another order, by one box a batch.

    Formula:
        w ~ Beta(α, α),   the box has H·√(1 − w) rows and W·√(1 − w) columns about a centre anywhere in the image,
        y ← w'·y + (1 − w')·y[π],   w' the share of the pixels outside the box as it was cut off at the border

    Args:
        classes: K, at least 2.
        alpha: α, above 0 and finite.

    Raises:
        InputError: An argument is out of range, or a batch is of another form.

    Example:
        >>> mix = CutMix(classes=10)
        >>> images, targets = mix(images, labels, torch.Generator().manual_seed(step))
        >>> loss = F.cross_entropy(network(images), targets)

    Source:
        Yun, Han, Oh, Chun, Choe, Yoo, "CutMix", 2019, arXiv 1905.04899, section 3. Deviation: every batch is mixed; the
        authors' CIFAR code does so with probability 1/2.
    """

    stage: Literal["inputs"] = "inputs"

    def __init__(self, classes: int, alpha: float = 1.0) -> None:
        whole("classes", classes, 2, 10**9)
        real("alpha", alpha, lambda a: 0 < a < float("inf"), "above 0 and finite")
        self.classes = classes
        self.alpha = alpha

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The mixed images, of whatever type, and labels; see `cutmix` for the shapes. `generator` is on the CPU."""
        check_batch(images, generator)
        check_count(labels, images)
        box = draw_box(beta(self.alpha, generator), images.shape[2], images.shape[3], generator)
        partners = moved(torch.randperm(len(images), generator=generator), images.device)
        return cutmix(images, labels, box, partners, self.classes)


def build(options: CutMixOptions, classes: int) -> Any:
    """CutMix as `options` describe it."""
    return CutMix(classes, options.cutmix_alpha)
