"""Which images are opened: formats that are decoded in this process, and of a size that memory can take."""

import io
from functools import cache
from pathlib import Path

from PIL import Image

from truelift.data.files import is_regular

# Pillow reads more: some by other programs (EPS by Ghostscript, which runs what the file says), some that hold no
# photographs. The first that fits is taken, so that those with weak marks come last.
_FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI"),
    *("ICO", "SGI", "PCX", "TGA"),
)

# Endings of images that Pillow does not know: they are images all the same, and cannot be decoded.
_OTHER_ENDINGS = (".heic", ".heif", ".jxl", ".svg", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raw")

LARGEST_PIXELS = 100_000_000
"""Pixels of an image above which it is not decoded: a file of some kilobytes can claim any number."""


def open_file(file: str | Path) -> Image.Image:
    """An image file, opened but not decoded.

    Raises:
        ValueError: It is no regular file, or too large.
        Exception: Whatever Pillow raises on broken bytes, or on a format that is not allowed.
    """
    if not is_regular(file):  # a pipe would be waited for
        raise ValueError("no regular file")
    return _bounded(Image.open(file, formats=_allowed()))


def open_bytes(encoded: bytes) -> Image.Image:
    """As `open_file`, from an image's bytes."""
    return _bounded(Image.open(io.BytesIO(encoded), formats=_allowed()))


@cache
def image_endings() -> frozenset[str]:
    """The endings, in lower case, of image files: of all formats that Pillow knows, and of some that it does not.

    A file of a format that is not allowed is an image that cannot be decoded, not something to be passed over.
    """
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return frozenset(known.difference((".mpg", ".mpeg", ".h5", ".hdf")).union(_OTHER_ENDINGS))


@cache
def _allowed() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _bounded(image: Image.Image) -> Image.Image:
    if image.width * image.height > LARGEST_PIXELS:
        image.close()
        raise ValueError(f"{image.width}x{image.height} pixels, more than {LARGEST_PIXELS:,}")
    return image
