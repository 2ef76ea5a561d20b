"""Random erasing: a box of some images filled with noise. N images, C channels, H×W pixels."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import torch
from torch import Tensor

from truelift.errors import real, require, shown
from truelift.options import SHARE, Only
from truelift.techniques.batches import check_batch, check_floating
from truelift.techniques.devices import moved

T = TypeVar("T")


def erase(images: Tensor, boxes: Tensor, noise: Tensor) -> Tensor:
    """The noise within each image's box, the image elsewhere.

    Args:
        images: (N, C, H, W).
        boxes: int64 (N, 4), first row, rows, first column, columns; 0 rows erase nothing.
        noise: Of the images' shape.
    """
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    top, height, left, width = (boxes[:, i, None] for i in range(4))
    in_rows = (rows >= top) & (rows < top + height)
    in_columns = (columns >= left) & (columns < left + width)
    return torch.where((in_rows[:, :, None] & in_columns[:, None, :])[:, None], noise, images)


def draw_boxes(
    n: int, height: int, width: int, probability: float, area: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """For each of N images a box, int64 (N, 4) as in `erase`; of no rows where nothing is to be erased.

    The area is uniform in `area`, in shares of the image's; rows over columns is log-uniform in [0.3, 1/0.3]. A box
    that does not fit is cut to the image's side.
    """
    chosen = torch.rand(n, generator=generator) < probability
    pixels = (torch.rand(n, generator=generator) * (area[1] - area[0]) + area[0]) * height * width
    aspect = ((torch.rand(n, generator=generator) * 2 - 1) * torch.tensor(1 / 0.3).log()).exp()
    rows = (pixels * aspect).sqrt().round().clamp(1, height)
    columns = (pixels / aspect).sqrt().round().clamp(1, width)
    top = (torch.rand(n, generator=generator) * (height - rows + 1)).floor()
    left = (torch.rand(n, generator=generator) * (width - columns + 1)).floor()
    return torch.stack([top, rows * chosen, left, columns], 1).long()


@dataclass(frozen=True, kw_only=True)
class RandomErasingOptions:
    """Options of random erasing."""

    erasing_probability: Annotated[float, SHARE, Only("names", "random-erasing")] = 0.5
    """random-erasing: the chance that an image loses a box; in [0, 1]."""


class RandomErasing:
    """Fills a box in some of the images with noise of the inputs' own distribution.

    Formula:
        with probability p an image's pixels within a box become N(0, 1), channel by channel; the box's area is uniform
        in [0.02, 0.4] of the image, its rows over its columns log-uniform in [0.3, 1/0.3], its place uniform.

    Args:
        probability: p, in [0, 1].
        area: The smallest and largest share of the image, with 0 ≤ smallest ≤ largest ≤ 1.

    Raises:
        InputError: An argument is out of range, or a batch is of another form, such as images of 8 bits.

    Example:
        >>> images, labels = RandomErasing()(images, labels, torch.Generator().manual_seed(step))

    Source:
        Zhong, Zheng, Kang, Li, Yang, "Random Erasing Data Augmentation", 2017, arXiv 1708.04896, algorithm 1. The paper
        fills with uniform noise in [0, 255]; on normalised inputs this is N(0, 1), as in timm's mode "pixel".
        Deviation: a box that does not fit is cut to the image's side; the paper draws another one.
    """

    stage: Literal["inputs"] = "inputs"

    def __init__(self, probability: float = 0.5, area: tuple[float, float] = (0.02, 0.4)) -> None:
        real("probability", probability, lambda p: 0 <= p <= 1, "in [0, 1]")
        self.probability = probability
        self.area = _shares(area)

    def __call__(self, images: Tensor, labels: T, generator: torch.Generator) -> tuple[Tensor, T]:
        """The images, float (N, C, H, W), and their labels as they are, of any kind. `generator` is on the CPU."""
        check_batch(images, generator)
        check_floating(images)
        n, _, height, width = images.shape
        boxes = moved(draw_boxes(n, height, width, self.probability, self.area, generator), images.device)
        noise = moved(torch.randn(images.shape, generator=generator), images.device, images.dtype)
        return erase(images, boxes, noise), labels


def _shares(area: Any) -> tuple[float, float]:
    """The smallest and largest share of a pair of numbers; an array or a tensor is one too.

    Raises:
        InputError: It is none, or they are out of range.
    """
    try:
        low, high = (math.nan if isinstance(share, bool | str | bytes) else float(share) for share in area)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        low = high = math.nan
    require("area", shown(area), 0 <= low <= high <= 1, "two ascending shares in [0, 1]")
    return low, high


def build(options: RandomErasingOptions, classes: int) -> Any:
    """Random erasing as `options` describe it."""
    return RandomErasing(options.erasing_probability)
