"""TrivialAugment: each image changed by one operation, drawn anew with its strength. N images, C channels, H×W pixels.

Images are uint8 (N, C, H, W), grey or in colours, and stay so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from truelift.errors import whole
from truelift.options import Only, at_least
from truelift.techniques.batches import check_batch, check_bytes
from truelift.techniques.devices import moved

T = TypeVar("T")

STRENGTHS = 31
"""Strengths of an operation, 0 to 30; the paper's number."""

Operation = Callable[[Tensor, Tensor], Tensor]
"""From images, float32 (N, C, H, W) on the scale 0..255, and strengths m, (N,) in [-1, 1], to images."""


def identity(x: Tensor, m: Tensor) -> Tensor:
    """What it was."""
    return x


def brightness(x: Tensor, m: Tensor) -> Tensor:
    """(1 + 0.99·m)·x."""
    return x * (1 + 0.99 * _wide(m))


def colour(x: Tensor, m: Tensor) -> Tensor:
    """Between the pixel's grey value (m = −1, nearly) and twice its distance from it."""
    grey = grey_values(x)
    return grey + (1 + 0.99 * _wide(m)) * (x - grey)


def contrast(x: Tensor, m: Tensor) -> Tensor:
    """Between the image's mean grey value (m = −1, nearly) and twice the distance from it."""
    mean = grey_values(x).mean((1, 2, 3), keepdim=True)
    return mean + (1 + 0.99 * _wide(m)) * (x - mean)


def sharpness(x: Tensor, m: Tensor) -> Tensor:
    """Between a smoothed image (m = −1, nearly) and twice the distance from it; the border stays."""
    kernel = moved(torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13, x.device)
    smooth = x.clone()
    if min(x.shape[2:]) >= 3:
        channels = x.shape[1]
        inner = F.conv2d(x, kernel.expand(channels, 1, 3, 3), groups=channels)
        smooth[:, :, 1:-1, 1:-1] = inner
    return smooth + (1 + 0.99 * _wide(m)) * (x - smooth)


def posterize(x: Tensor, m: Tensor) -> Tensor:
    """8 to 2 bits a value, by |m|."""
    step = 2.0 ** (6 * m.abs()).round()
    return (x / _wide(step)).floor() * _wide(step)


def solarize(x: Tensor, m: Tensor) -> Tensor:
    """255 − x where x is at least 255·(1 − |m|)."""
    return torch.where(x >= 255 * (1 - _wide(m.abs())), 255 - x, x)


def autocontrast(x: Tensor, m: Tensor) -> Tensor:
    """Each channel stretched to 0..255; one of a single value stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) * 255 / (high - low).clamp(min=1), x)


def equalize(x: Tensor, m: Tensor) -> Tensor:
    """Each channel's values spread evenly: v becomes 255·(pixels below v)/(pixels below the largest).

    A channel of a single value stays. Pillow rounds the divisor, and so differs by some of 255 here and there.
    """
    flat = x.flatten(2)
    counts = torch.zeros(*flat.shape[:2], 256, device=x.device)
    counts.scatter_add_(2, flat.round().long(), torch.ones_like(flat))
    below = counts.cumsum(2) - counts
    darker = below.gather(2, flat.amax(2, keepdim=True).round().long())
    spread = (below * 255 / darker.clamp(min=1)).gather(2, flat.round().long())
    return torch.where(darker > 0, spread, flat).view_as(x)


def shear_x(x: Tensor, m: Tensor) -> Tensor:
    """Columns moved by 0.99·m of the row."""
    return _affine(x, shear_x=0.99 * m)


def shear_y(x: Tensor, m: Tensor) -> Tensor:
    """Rows moved by 0.99·m of the column."""
    return _affine(x, shear_y=0.99 * m)


def translate_x(x: Tensor, m: Tensor) -> Tensor:
    """Moved by up to 32 columns; in images of less than 64, by half of them."""
    return _affine(x, move_x=m * min(32, x.shape[3] / 2))


def translate_y(x: Tensor, m: Tensor) -> Tensor:
    """Moved by up to 32 rows; in images of less than 64, by half of them."""
    return _affine(x, move_y=m * min(32, x.shape[2] / 2))


def rotate(x: Tensor, m: Tensor) -> Tensor:
    """Turned about the centre, counter-clockwise, by up to 135 degrees."""
    return _affine(x, degrees=135 * m)


OPERATIONS: tuple[Operation, ...] = (
    identity,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
    rotate,
    brightness,
    colour,
    contrast,
    sharpness,
    posterize,
    solarize,
    autocontrast,
    equalize,
)
"""Those of the paper's "wide" space."""


@dataclass(frozen=True, kw_only=True)
class TrivialAugmentOptions:
    """Options of TrivialAugment."""

    trivial_strengths: Annotated[int, at_least(2, 1000), Only("names", "trivial-augment")] = STRENGTHS
    """trivial-augment: number of strengths of an operation, evenly from none to the largest; at least 2."""


class TrivialAugment:
    """One operation an image, each as likely as the others, with a strength and a sign of its own.

    Formula:
        o uniform in the 14 operations, s uniform in 0..30, ± uniform;   x ← o(x, ±s/30), rounded to 8 bits

    Args:
        strengths: How many strengths there are, from 2 to 1000.

    Raises:
        InputError: They are out of range, or a batch is of another form, such as images of floating point.

    Example:
        >>> bytes_, labels = TrivialAugment()((255 * images).byte(), labels, torch.Generator().manual_seed(step))

    Source:
        Müller, Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", 2021, arXiv 2103.10158,
        algorithm 1 and Table 7 ("wide"). Deviations: turned and moved images are interpolated linearly and filled with
        black, as torchvision does by choice; in images of less than 64 pixels a side the largest translation is half
        the side, where 32 would leave nothing.
    """

    stage: Literal["pixels"] = "pixels"

    def __init__(self, strengths: int = STRENGTHS) -> None:
        whole("strengths", strengths, 2, 1000)
        self.strengths = strengths

    def __call__(self, images: Tensor, labels: T, generator: torch.Generator) -> tuple[Tensor, T]:
        """The changed images, uint8, channels-last where they were, and the labels, of whatever kind, as they are."""
        check_batch(images, generator)
        check_bytes(images)
        n = len(images)
        chosen = torch.randint(len(OPERATIONS), (n,), generator=generator)
        strength = torch.randint(self.strengths, (n,), generator=generator) / (self.strengths - 1)
        sign = torch.randint(2, (n,), generator=generator) * 2 - 1
        strengths = moved(strength * sign, images.device)
        changed = images.clone()
        for number, operation in enumerate(OPERATIONS):
            of_this = (chosen == number).nonzero()[:, 0]
            if len(of_this) and operation is not identity:
                of_this = moved(of_this, images.device)
                found = operation(images[of_this].float(), strengths[of_this])
                changed[of_this] = found.round().clamp(0, 255).to(torch.uint8)
        return changed, labels


def build(options: TrivialAugmentOptions, classes: int) -> Any:
    """TrivialAugment as `options` describe it."""
    return TrivialAugment(options.trivial_strengths)


def _wide(m: Tensor) -> Tensor:
    return m[:, None, None, None]


def grey_values(x: Tensor) -> Tensor:
    """The grey value of each pixel, (N, 1, H, W), of any channels (N, C, H, W); of three by ITU-R BT.601."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    return 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def _affine(
    x: Tensor,
    *,
    degrees: Tensor | None = None,
    shear_x: Tensor | None = None,
    shear_y: Tensor | None = None,
    move_x: Tensor | None = None,
    move_y: Tensor | None = None,
) -> Tensor:
    """Turned, sheared or moved about the centre, linearly interpolated, black outside. Lengths in pixels."""
    n, _, height, width = x.shape
    zero = torch.zeros(n, device=x.device)
    angle = zero if degrees is None else degrees * (-math.pi / 180)
    # From the place in the result to that in x, both in pixels from the centre.
    a, b = angle.cos(), angle.sin() + (zero if shear_x is None else shear_x)
    c, d = -angle.sin() + (zero if shear_y is None else shear_y), angle.cos()
    right = zero if move_x is None else -move_x
    down = zero if move_y is None else -move_y
    # grid_sample's coordinates run from −1 to 1 along both sides.
    rows = torch.stack([a, b * height / width, 2 * right / width], 1)
    columns = torch.stack([c * width / height, d, 2 * down / height], 1)
    grid = F.affine_grid(torch.stack([rows, columns], 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
