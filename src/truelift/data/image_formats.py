"""Which images are opened: formats that are decoded in this process, and of a size that memory can take."""

import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
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

_NO_FILE = "no regular file"

_JPEG = b"\xff\xd8\xff"

# Bytes of a JPEG file above which Pillow reads it, piece by piece.
_LARGEST_READ = 1 << 28


@dataclass(frozen=True)
class Encoded:
    """Opens an image when called, as every opener does; and has its bytes, for a decoder that needs no Pillow."""

    open: Callable[[], Image.Image]
    read: Callable[[], bytes]
    """The whole file; or nothing, where no such decoder could take it."""

    def __call__(self) -> Image.Image:
        """The image, opened but not decoded."""
        return self.open()


def encoded_image(read: Callable[[], bytes]) -> Encoded:
    """The opener of an image whose bytes `read` gives."""
    return Encoded(lambda: open_bytes(read()), read)


def encoded_file(file: str | Path) -> Encoded:
    """The opener of an image file; nothing is read before it is called."""
    return Encoded(partial(open_file, file), partial(_read_jpeg, file))


def open_file(file: str | Path) -> Image.Image:
    """An image file, opened but not decoded.

    Raises:
        ValueError: It is no regular file, or too large.
        Exception: Whatever Pillow raises on broken bytes, or on a format that is not allowed.
    """
    if not is_regular(file):  # a pipe would be waited for
        raise ValueError(_NO_FILE)
    return _bounded(Image.open(file, formats=_allowed()))


def open_bytes(encoded: bytes) -> Image.Image:
    """As `open_file`, from an image's bytes."""
    return _bounded(Image.open(io.BytesIO(encoded), formats=_allowed()))


def _read_jpeg(file: str | Path) -> bytes:
    """A JPEG file, or nothing."""
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(_NO_FILE)
    opened = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # a file object takes as long again
    try:
        begin = os.read(opened, len(_JPEG))
        return begin + os.read(opened, status.st_size) if begin == _JPEG and status.st_size <= _LARGEST_READ else b""
    finally:
        os.close(opened)


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
