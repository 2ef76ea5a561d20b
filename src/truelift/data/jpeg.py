"""A faster way from JPEG to pixels: simplejpeg, where it is installed (the extra `jpeg`).

It wraps the library that Pillow decodes with, and gives the same pixels; what it spares are Pillow's copies, and the
rows below those that are wanted: the decoder is told that the photograph ends there. A baseline JPEG's coefficients
come row by row, so that those of the first rows need nothing of the rest; what is left over is passed over.
"""

import contextlib
import importlib
from functools import cache
from typing import Any

from PIL import Image

from truelift.data.decode import Pixels

_END = b"\xff\xd9"
_FRAMES = range(0xC0, 0xD0)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # tables, and one that is reserved
_BASELINE = (0xC0, 0xC1)
_BLOCK = 8


def decode_jpeg(image: Image.Image, shrinking: int, bottom: int | None = None) -> Pixels | None:
    """The pixels of an opened photograph, uint8 (H, W, 3), at 1/shrinking of its size.

    Args:
        image: Opened, not loaded.
        shrinking: 1, 2, 4 or 8.
        bottom: Rows of the photograph, from its first, that are wanted, at least 1; by default all. There may be more.

    Returns:
        None where Pillow has to do it: simplejpeg is not installed, the image is no JPEG of three colours, or something
        is wrong with it. Pillow knows what can be borne, and names what cannot.
    """
    decoder = _simplejpeg()
    file = getattr(image, "fp", None)
    if decoder is None or image.format != "JPEG" or image.mode != "RGB" or file is None:
        return None
    position = file.tell()
    file.seek(0)
    encoded = file.read()
    upper = None if bottom is None else first_rows(encoded, image.height, bottom)
    if upper is not None:
        shorter, height = upper
        with contextlib.suppress(ValueError):
            # Not strict: it warns of what is left over. Of damage Pillow does not tell either, only of a missing end.
            return _decoded(decoder, shorter, image.width, height, shrinking, strict=False)
    with contextlib.suppress(ValueError):
        return _decoded(decoder, encoded, image.width, image.height, shrinking, strict=True)
    file.seek(position)
    return None


def first_rows(encoded: bytes, height: int, rows: int) -> tuple[bytearray, int] | None:
    """A JPEG whose header says that it ends below its first rows, and where: some rows further down.

    Further down by a row of blocks at least, since the colours of a row are interpolated from its neighbours'.

    Args:
        encoded: The whole one.
        height: Its rows.
        rows: Those that are wanted, at least 1.

    Returns:
        None where nothing is saved or it cannot be done: the JPEG is progressive, damaged, or lacks its end.
    """
    if not encoded.endswith(_END):
        return None
    place = 2
    while place + 9 < len(encoded) and encoded[place] == 0xFF:
        kind = encoded[place + 1]
        if kind in _FRAMES and kind not in _NO_FRAMES:
            return _shortened(encoded, place, height, rows) if kind in _BASELINE else None
        if kind < 0xC0 or 0xD0 <= kind <= 0xDA or kind == 0xFF:  # no segment with a length, or the image itself
            return None
        place += 2 + int.from_bytes(encoded[place + 2 : place + 4], "big")
    return None


def _shortened(encoded: bytes, frame: int, height: int, rows: int) -> tuple[bytearray, int] | None:
    """With the frame's header at `frame`: marker, length, precision, height, width, and 3 bytes a component."""
    told, components = int.from_bytes(encoded[frame + 5 : frame + 7], "big"), encoded[frame + 9]
    factors = [sampling & 15 for sampling in encoded[frame + 11 : frame + 10 + 3 * components : 3]]
    if told != height or not factors:
        return None
    unit = _BLOCK * max(factors)  # rows of pixels that are coded together
    ends = (-(-rows // unit) + 1) * unit
    if not 0 < ends < height:
        return None
    shorter = bytearray(encoded)
    shorter[frame + 5 : frame + 7] = ends.to_bytes(2, "big")
    return shorter, ends


def _decoded(
    decoder: Any, encoded: bytes | bytearray, width: int, height: int, shrinking: int, *, strict: bool
) -> Pixels:
    pixels: Pixels = decoder.decode_jpeg(
        encoded,
        min_height=height // shrinking,
        min_width=width // shrinking,
        min_factor=shrinking,
        strict=strict,
    )
    return pixels


@cache
def _simplejpeg() -> Any:
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:
        return None
