"""Random changes to whole batches, and normalisation. N images, C channels, H rows, W columns.

Every function is pure: it returns a new batch, and its randomness comes from the generator given. What is drawn (some
numbers an image) is drawn on the generator's device and then moved, so that a generator on the CPU gives the same
augmentation wherever the images lie; interpolated and scaled values, where two devices' arithmetic rounds them
otherwise, differ by 1 of 255. Batches are stored channels-last, and stay so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from truelift.errors import InputError
from truelift.options import SHARE, SHARE_ABOVE_ZERO, Conflict, Only, at_least
from truelift.techniques.devices import moved
from truelift.techniques.trivial_augment import grey_values

# Values of float32 that a processor keeps near, in 2 MiB.
_CACHED = 1 << 19

# Principal components of ImageNet's pixels on the scale 0..255: eigenvalues, and a row for each of red, green and blue
# with its share of the three eigenvectors. The figures that all reimplementations of AlexNet's noise hand on, from
# facebook/fb.resnet.torch, datasets/imagenet.lua (there on the scale 0..1: 0.2175, 0.0188, 0.0045).
_LIGHTING_VALUES = (55.46, 4.794, 1.148)
_LIGHTING_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@dataclass(frozen=True, kw_only=True)
class StandardOptions:
    """The changes of `augment`."""

    crop_padding: Annotated[int | None, at_least(0, 65_536)] = None
    """Zero pixels added on each side before a random crop back to the image's size. Default: the data set's own (CIFAR
    4), or 0 with resized_crop_area."""

    crop_padding_mode: Annotated[Literal["zeros", "reflect"], Only("crop_padding", above=0)] = "zeros"
    """What crop_padding adds: zeros, or the image mirrored at its border (a random shift by reflection)."""

    resized_crop_area: Annotated[float | None, SHARE_ABOVE_ZERO] = None
    """Instead of crop_padding: resize a random box to the image's size. The smallest share of the image's area that a
    box may have, in (0, 1]; ImageNet's usual value is 0.08, the default with data.stream."""

    flip: bool | None = None
    """Mirror every second image on average. Default: the data set's own (CIFAR yes, digits no)."""

    alternating_flip: bool = False
    """Mirror each image in every other epoch, starting with a random half of the images; flip draws anew each time, so
    some images look the same for epochs."""

    colour_jitter: Annotated[float, SHARE] = 0.0
    """Multiply brightness, contrast and saturation each by a random factor in [1 - x, 1 + x]; x in [0, 1], colours
    only."""

    lighting: Annotated[float, at_least(0, 1000)] = 0.0
    """AlexNet's noise along the principal components of ImageNet's colours, with this standard deviation (0.1 there);
    at least 0, colours only."""

    cutout: Annotated[int, at_least(0, 65_536)] = 0
    """Side, in pixels, of one square put to the mean colour at a random place; 0 for none."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        once = self.resized_crop_area is None or not self.crop_padding
        rule = "0, or left out, with augmentation.resized_crop_area (an image is cropped in one way)"
        yield "crop_padding", once, rule
        pads = self.crop_padding_mode == "zeros" or self.resized_crop_area is None
        yield "crop_padding_mode", pads, "zeros with augmentation.resized_crop_area"
        yield "alternating_flip", not self.alternating_flip or self.flip is not False, "false where flip is false"


def random_crop(
    images: Tensor, padding: int, generator: torch.Generator, mode: Literal["zeros", "reflect"] = "zeros"
) -> Tensor:
    """Pads each side and crops back to the size at a random place of its own for each image.

    Args:
        images: uint8 (N, C, H, W).
        padding: Pixels added to each side, in 0..min(H, W) - 1.
        generator: Draws the crop's top (N,), then its left (N,), uniformly from 0..2 * padding.
        mode: zeros, or reflect: pixel -i is pixel i, and the border's pixels are not doubled.

    Returns:
        uint8 (N, C, H, W), channels-last.

    Raises:
        InputError: The padding is out of range.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2 (zeros).
    """
    n, channels, height, width = images.shape
    most = min(height, width) - 1
    if not 0 <= padding <= most:
        raise InputError(f"augmentation.crop_padding must be in 0..{most} (less than the image's side), got {padding}")
    top, left = _draw(2 * padding + 1, n, images, generator), _draw(2 * padding + 1, n, images, generator)
    if mode == "reflect":
        rows_of, columns_of = (_reflected(length, padding, images.device) for length in (height, width))
        padded = images.permute(0, 2, 3, 1).index_select(1, rows_of).index_select(2, columns_of)
    else:
        padded = images.new_zeros(n, height + 2 * padding, width + 2 * padding, channels)
        padded[:, padding : padding + height, padding : padding + width] = images.permute(0, 2, 3, 1)
    # A row of a crop is W * C neighbouring bytes. So the crops are one gather of rows from a view whose row i is the
    # W * C bytes from byte i on: 0.15 ms for 512 images of CIFAR, where a gather pixel by pixel takes 4.6.
    row_bytes = width * channels
    every_row = padded.as_strided((padded.numel() - row_bytes + 1, row_bytes), (1, 1))
    rows = top[:, None] + torch.arange(height, device=images.device)
    first_row = torch.arange(n, device=images.device)[:, None] * padded.shape[1]
    start = (first_row + rows) * (padded.shape[2] * channels) + left[:, None] * channels
    crops = every_row.index_select(0, start.flatten())
    return crops.view(n, height, width, channels).permute(0, 3, 1, 2)


def resized_crop(images: Tensor, least_area: float, generator: torch.Generator) -> Tensor:
    """Cuts a box out of each image, at a random place, and stretches it back to H x W by bilinear interpolation.

    With s the box's share of the area, uniform in [least_area, 1], and r its shape, log-uniform in [3/4, 4/3], the box
    has H*sqrt(s/r) rows and W*sqrt(s*r) columns, and all places inside the image are equally likely. An s above 3/4
    leaves room for an r near 1 alone: there r is log-uniform in [s, 1/s].

    torchvision draws s and r anew, up to ten times, until the box fits, and so has fewer large boxes; its boxes begin
    and end at whole pixels, these anywhere. In images that are not square, r is relative to the image's own shape.

    Args:
        images: uint8 (N, C, H, W).
        least_area: Smallest share of the area, in (0, 1].
        generator: Draws the box's area (N,), its shape (N,), its row (N,) and its column (N,).

    Returns:
        uint8 (N, C, H, W), channels-last.

    Source:
        Szegedy et al., "Going Deeper with Convolutions", 2015, section 6 (areas from 8 %).
    """
    n, _, height, width = images.shape
    area = _uniform(least_area, 1, n, images, generator)
    shape = (_uniform(-1, 1, n, images, generator) * area.reciprocal().clamp(max=4 / 3).log()).exp()
    rows = _origins((area / shape).sqrt(), _uniform(-1, 1, n, images, generator), height)
    columns = _origins((area * shape).sqrt(), _uniform(-1, 1, n, images, generator), width)
    grid = torch.stack((columns[:, None].expand(n, height, width), rows[..., None].expand(n, height, width)), 3)
    values = images.to(torch.float32, memory_format=torch.channels_last)
    return _to_bytes(F.grid_sample(values, grid, "bilinear", padding_mode="border", align_corners=False))


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors each image, left to right, with probability 1/2.

    Args:
        images: (N, C, H, W).
        generator: Draws (N,) of 0 or 1; 1 mirrors.

    Returns:
        (N, C, H, W), channels-last where `images` is.
    """
    return flip_where(images, _draw(2, len(images), images, generator).bool())


def flip_where(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirrors the images, left to right, for which `mirrored`, bool (N,), says so; channels-last where `images` is."""
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def alternating(images: int, seed: int, epoch: int) -> Tensor:
    """Which images an alternating flip mirrors in an epoch, bool (N,), on the CPU.

    Formula: m_i(e) = (b_i + e) mod 2, with b_i of image i drawn once, 0 or 1 with equal chances. So each image is shown
    both ways round in any two epochs that follow each other.

    Args:
        images: N.
        seed: Draws b.
        epoch: e, from 0.

    Source:
        Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv 2404.00498, section 3.6.
    """
    first = torch.randint(2, (images,), generator=torch.Generator().manual_seed(seed))
    return (first + epoch) % 2 == 1


def colour_jitter(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Changes each image's brightness, contrast and saturation, in this order.

    With factors b, c and s of its own for each image, uniform in [1 - strength, 1 + strength], g the grey value of a
    pixel and m the mean of g over the image:

        x := b*x,   then   x := m + c*(x - m),   then   x := g + s*(x - g),

    each cut to 0..255. torchvision does the same in a random order; here it is fixed.

    Args:
        images: uint8 (N, 3, H, W).
        strength: In [0, 1].
        generator: Draws brightness (N,), contrast (N,) and saturation (N,).

    Returns:
        uint8 (N, 3, H, W), channels-last.

    Raises:
        InputError: C is not 3.

    Source:
        torchvision.transforms.ColorJitter, without hue.
    """
    _refuse_other_than_colours(images, "augmentation.colour_jitter")
    b, c, s = (
        _uniform(1 - strength, 1 + strength, len(images), images, generator)[:, None, None, None] for _ in range(3)
    )
    values = images.to(torch.float32, memory_format=torch.channels_last)
    values = (values * b).clamp_(0, 255)
    values = torch.lerp(grey_values(values).mean((2, 3), keepdim=True), values, c).clamp_(0, 255)
    return _to_bytes(torch.lerp(grey_values(values), values, s))


def lighting(images: Tensor, sd: float, generator: torch.Generator) -> Tensor:
    """Adds to all pixels of an image one random colour, large along the directions in which natural images vary.

    The colour is the sum over i = 1, 2, 3 of a_i*lambda_i*e_i, with lambda_i and e_i the eigenvalues and eigenvectors
    of the covariance of ImageNet's pixels, and each a_i ~ N(0, sd) anew for each image.

    Args:
        images: uint8 (N, 3, H, W), red, green and blue.
        sd: Standard deviation of the a_i, at least 0; 0.1 in the paper.
        generator: Draws the a_i (N, 3).

    Returns:
        uint8 (N, 3, H, W), channels-last; sums are rounded and cut to 0..255.

    Raises:
        InputError: C is not 3.

    Source:
        Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, section 4.1.
    """
    _refuse_other_than_colours(images, "augmentation.lighting")
    drawn = torch.randn(len(images), 3, generator=generator, device=generator.device)
    directions = torch.tensor(_LIGHTING_VECTORS) * torch.tensor(_LIGHTING_VALUES)
    colours = (sd * drawn) @ directions.to(drawn.device).T
    values = images.to(torch.float32, memory_format=torch.channels_last)
    return _to_bytes(values + moved(colours, images.device)[:, :, None, None])


def cutout(images: Tensor, side: int, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Puts one square of each image to `fill`.

    The square's centre lies anywhere in the image, so the square may stick out over the border and then covers less.

    Args:
        images: uint8 (N, C, H, W).
        side: Side of the square in pixels, at least 1.
        fill: uint8 (C,), the colour; the mean colour becomes 0 by normalisation, but for its rounding to 8 bits.
        generator: Draws the centre's row (N,), then its column (N,). The square begins `side // 2` before it.

    Returns:
        uint8 (N, C, H, W), channels-last where `images` is.

    Source:
        DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
    """
    n, _, height, width = images.shape
    row, column = _draw(height, n, images, generator), _draw(width, n, images, generator)
    covered = _within(row, side, height)[:, :, None] & _within(column, side, width)[:, None, :]
    return torch.where(covered[:, None], moved(fill, images.device).view(1, -1, 1, 1), images)


def augment(
    images: Tensor,
    options: StandardOptions,
    fill: Tensor,
    generator: torch.Generator,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Crop (one kind or the other), flip, colour jitter, lighting, cutout: in this order, what `options` want.

    Args:
        images: uint8 (N, C, H, W).
        options: Resolved: no field is None.
        fill: uint8 (C,), the mean colour, for cutout.
        generator: Draws for one after the other; what is not wanted draws nothing.
        mirrored: Which images to mirror, bool (N,), in place of a draw.

    Returns:
        uint8 (N, C, H, W), channels-last.

    Raises:
        InputError: An option does not fit the images' size or channels.
    """
    assert options.crop_padding is not None, "resolve_augmentation comes first"
    assert options.flip is not None, "resolve_augmentation comes first"
    if options.crop_padding:
        images = random_crop(images, options.crop_padding, generator, options.crop_padding_mode)
    if options.resized_crop_area is not None:
        images = resized_crop(images, options.resized_crop_area, generator)
    if mirrored is not None:
        images = flip_where(images, mirrored)
    elif options.flip:
        images = random_flip(images, generator)
    if options.colour_jitter:
        images = colour_jitter(images, options.colour_jitter, generator)
    if options.lighting:
        images = lighting(images, options.lighting, generator)
    if options.cutout:
        images = cutout(images, options.cutout, fill, generator)
    return images


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(images / 255 - mean) / std, channel by channel.

    Args:
        images: uint8 (N, C, H, W).
        mean: Of each of the C channels, in [0, 1].
        std: Of each of the C channels, in the same unit, above 0.

    Returns:
        float32 (N, C, H, W), channels-last.
    """
    n, channels, height, width = images.shape
    values = torch.empty_like(images, dtype=torch.float32, memory_format=torch.channels_last)
    offset, scale = (
        moved(torch.tensor(each, dtype=torch.float32).mul_(255).repeat(width), images.device) for each in (mean, std)
    )
    # So many images at a time as stay in a processor's cache from one operation to the next.
    some = max(1, n if images.is_cuda else _CACHED // max(1, channels * height * width))
    for given, taken in zip(images.split(some), values.split(some), strict=True):
        taken.copy_(given)
        # Row by row of W * C neighbouring values, for the processor's vectors: three channels by themselves are none.
        rows = taken.permute(0, 2, 3, 1).view(len(taken), height, width * channels)
        rows.sub_(offset).div_(scale)
    return values


def shrunk(images: Tensor, side: int) -> Tensor:
    """Makes images smaller, by bilinear interpolation over as many pixels as fall on one.

    Args:
        images: (N, C, H, W), of floating point.
        side: Of the result, at most H and W.

    Returns:
        (N, C, side, side), channels-last.

    Source:
        Small images first: Howard and others, "Training Imagenet in 3 hours for 25 minutes", fast.ai, 2018; Touvron et
        al., "Fixing the train-test resolution discrepancy", 2019, say why the last epochs need the full size.
    """
    made = F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return made.contiguous(memory_format=torch.channels_last)


def _draw(end: int, n: int, images: Tensor, generator: torch.Generator) -> Tensor:
    """Draws int64 (n,), uniform in 0..end - 1, moved to the device of `images`."""
    drawn = torch.randint(end, (n,), generator=generator, device=generator.device)
    return moved(drawn, images.device)


def _reflected(length: int, padding: int, device: torch.device) -> Tensor:
    """Which pixel stands at each place of an axis that is padded by reflection, int64 (length + 2·padding,)."""
    places = torch.arange(-padding, length + padding, device=device).abs()
    return torch.where(places < length, places, 2 * (length - 1) - places)


def _uniform(low: float, high: float, n: int, images: Tensor, generator: torch.Generator) -> Tensor:
    """Draws float32 (n,), uniform in [low, high), moved to the device of `images`."""
    drawn = torch.rand(n, generator=generator, device=generator.device).mul_(high - low).add_(low)
    return moved(drawn, images.device)


def _origins(share: Tensor, place: Tensor, length: int) -> Tensor:
    """Where along an axis the pixels of the box's stretched image come from, (N, length), in grid_sample's coordinates.

    These run from -1 at the image's one edge to 1 at the other.

    Args:
        share: (N,), the box's length in the image's, in (0, 1].
        place: (N,), from -1 (the box begins where the image does) to 1 (they end together).
        length: Pixels along the axis.
    """
    middles = torch.arange(length, device=share.device).mul(2).add(1).div(length).sub(1)
    return share[:, None] * middles + ((1 - share) * place)[:, None]


def _to_bytes(values: Tensor) -> Tensor:
    """Rounded, cut to 0..255, uint8, channels-last."""
    return values.clamp(0, 255).round_().to(torch.uint8, memory_format=torch.channels_last)


def _refuse_other_than_colours(images: Tensor, option: str) -> None:
    """Raises InputError where C is not 3."""
    if images.shape[1] != 3:
        raise InputError(f"{option} above 0 needs images of 3 channels, got {images.shape[1]}")


def _within(centre: Tensor, side: int, length: int) -> Tensor:
    """Which places along one axis the square around each centre (N,) covers, bool (N, length)."""
    distance = torch.arange(length, device=centre.device) - (centre - side // 2)[:, None]
    return (distance >= 0) & (distance < side)
