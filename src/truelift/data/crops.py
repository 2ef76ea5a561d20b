"""From one photograph of any size, W×H pixels, to a square of side S."""

import math
from collections.abc import Callable
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from truelift.data.decode import Pixels, as_8_bit, upright_size
from truelift.data.image_formats import LARGEST_PIXELS, Encoded, open_bytes
from truelift.data.jpeg import decode_jpeg, has_decoder
from truelift.data.jpeg_header import read_header
from truelift.data.listing import Opener

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in whole pixels, in the photograph held upright."""

Choose = Callable[[int, int], Box]
"""From W and H, upright, to a box; of the same size always the same, as it may be asked twice."""

# A JPEG can be decoded at these fractions of its size, from so many of its coefficients alone.
_SHRINKINGS = (8, 4, 2)

_TRIES = 10


def random_box(width: int, height: int, least_area: float, random: Random) -> Box:
    """A box of random area, shape and place.

    Its share of the area is uniform in [least_area, 1], its width over its height log-uniform in [3/4, 4/3]; both are
    drawn again, up to ten times, until it fits. Then it is the largest in the centre whose shape is in that range.

    Args:
        width: W, at least 1.
        height: H, at least 1.
        least_area: In (0, 1].
        random: Draws area and shape by turns, then the left edge and the top one.

    Source:
        Szegedy et al., "Going Deeper with Convolutions", 2015, section 6; the tries and what follows them are
        torchvision's RandomResizedCrop.
    """
    for _ in range(_TRIES):
        area = width * height * random.uniform(least_area, 1)
        shape = math.exp(random.uniform(-1, 1) * math.log(4 / 3))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return _centred(width, height, min(width, math.ceil(height * 4 / 3)), min(height, math.ceil(width * 4 / 3)))


def centre_box(width: int, height: int, share: float) -> Box:
    """The square in the centre whose side is so much of the shorter one, `share` in (0, 1]."""
    side = max(1, round(min(width, height) * share))
    return _centred(width, height, side, side)


def cut(opener: Opener, choose: Choose, side: int) -> Tensor:
    """As `cut_out`, of an image that is not opened yet: with the extra `jpeg` a common JPEG needs no Pillow."""
    if not isinstance(opener, Encoded) or not has_decoder():
        with opener() as image:
            return cut_out(image, choose, side)
    encoded = opener.read()
    square = _cut_jpeg(encoded, choose, side)
    if square is not None:
        return square
    with open_bytes(encoded) if encoded else opener() as image:
        return _cut_by_pillow(image, choose, side)


def cut_out(image: Image.Image, choose: Choose, side: int) -> Tensor:
    """The box that `choose` gives for W and H, stretched to S×S by antialiased bilinear interpolation.

    A JPEG whose box is twice the square or more is decoded at 1/2, 1/4 or 1/8 of its size: never below the square's own
    resolution, and without the work for what the stretching would throw away. With the extra `jpeg` the rows below the
    box are not decoded either.

    Args:
        image: Opened, not loaded.
        choose: Chooses the box.
        side: S, at least 1.

    Returns:
        uint8 (S, S, 3), red, green and blue.

    Raises:
        ValueError: As `as_8_bit`; or what Pillow raises on broken bytes.
    """
    if image.format == "JPEG" and has_decoder():
        square = _cut_jpeg(_encoded(image), choose, side)
        if square is not None:
            return square
    return _cut_by_pillow(image, choose, side)


def _cut_by_pillow(image: Image.Image, choose: Choose, side: int) -> Tensor:
    box = choose(*upright_size(image))
    return _stretched(_by_pillow(image, box, _shrinking(box, side)), side)


def _cut_jpeg(encoded: bytes, choose: Choose, side: int) -> Tensor | None:
    """The box of a JPEG; None where Pillow has to do it."""
    header = read_header(encoded)
    if header is None or header.width * header.height > LARGEST_PIXELS:
        return None
    box = choose(header.width, header.height)
    shrinking = _shrinking(box, side)
    upper = decode_jpeg(encoded, header, shrinking, box[3])
    if upper is None:
        return None
    left, top, right, bottom = _shrunk(box, shrinking)
    return _stretched(upper[top:bottom, left:right].copy(), side)


def _encoded(image: Image.Image) -> bytes:
    """The file of an opened image, which is left where it was; nothing where there is none."""
    file = getattr(image, "fp", None)
    if file is None:
        return b""
    position = file.tell()
    file.seek(0)
    encoded: bytes = file.read()
    file.seek(position)
    return encoded


def _shrinking(box: Box, side: int) -> int:
    scale = min(box[2] - box[0], box[3] - box[1]) / side
    return next((s for s in _SHRINKINGS if s <= scale), 1)


def _stretched(pixels: Pixels, side: int) -> Tensor:
    """(H, W, 3) to (S, S, 3)."""
    # Where the processor has vectors torch's kernel for bytes is five times as fast as Pillow's, and at most 1 off it.
    # The batch's dimension comes first, so that its stride tells channels-last, in and out.
    one = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    square = F.interpolate(one, (side, side), mode="bilinear", antialias=True)
    return square[0].permute(1, 2, 0)


def _by_pillow(image: Image.Image, box: Box, shrinking: int) -> Pixels:
    if shrinking > 1:
        before = image.width
        image.draft("RGB", (image.width // shrinking, image.height // shrinking))
        shrinking = round(before / image.width)  # 1 for what is no JPEG
    cut = as_8_bit(image).crop(_shrunk(box, shrinking))
    return np.array(cut if cut.mode == "RGB" else cut.convert("RGB"))


def _shrunk(box: Box, shrinking: int) -> Box:
    left, top, right, bottom = (edge // shrinking for edge in box)
    return left, top, right, bottom


def _centred(width: int, height: int, w: int, h: int) -> Box:
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
