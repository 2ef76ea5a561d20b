"""A faster way from JPEG to pixels: simplejpeg, where it is installed (the extra `jpeg`).

It wraps the library that Pillow decodes with, and gives the same pixels; what it spares are Pillow's copies, and the
rows below those that are wanted: the decoder is told that the photograph ends there. A baseline JPEG's coefficients
come row by row, so that those of the first rows need nothing of the rest; what is left over is passed over.
"""

import contextlib
import importlib
from functools import cache
from typing import Any

from truelift.data.decode import Pixels
from truelift.data.jpeg_header import Header

_END = b"\xff\xd9"


def has_decoder() -> bool:
    """Whether simplejpeg is installed."""
    return _simplejpeg() is not None


def decode_jpeg(encoded: bytes, header: Header, shrinking: int, bottom: int) -> Pixels | None:
    """The pixels of a photograph, uint8 (H, W, 3), at 1/shrinking of its size; only where `has_decoder` says so.

    Args:
        encoded: The whole file.
        header: What `read_header` gave of it.
        shrinking: 1, 2, 4 or 8.
        bottom: Rows of the photograph, from its first, that are wanted, at least 1. There may be more.

    Returns:
        None where something is wrong with the photograph: Pillow knows what can be borne, and names what cannot.
    """
    upper = first_rows(encoded, header, bottom)
    if upper is not None:
        shorter, height = upper
        with contextlib.suppress(ValueError):
            # Not strict: it warns of what is left over, and of a misplaced marker, which alone Pillow would refuse.
            return _decoded(shorter, header.width, height, shrinking, strict=False)
    with contextlib.suppress(ValueError):
        return _decoded(encoded, header.width, header.height, shrinking, strict=True)
    return None


def first_rows(encoded: bytes, header: Header, rows: int) -> tuple[bytearray, int] | None:
    """A JPEG whose header says that it ends below its first rows, and where: some rows further down.

    Further down by a row of blocks at least, since the colours of a row are interpolated from its neighbours'.

    Args:
        encoded: The whole one.
        header: What `read_header` gave of it.
        rows: Those that are wanted, at least 1.

    Returns:
        None where nothing is saved or it cannot be done: the JPEG is progressive, or lacks its end.
    """
    ends = (-(-rows // header.unit) + 1) * header.unit
    if not header.row_by_row or ends >= header.height or not encoded.endswith(_END):
        return None
    shorter = bytearray(encoded)
    shorter[header.frame + 5 : header.frame + 7] = ends.to_bytes(2, "big")
    return shorter, ends


def _decoded(encoded: bytes | bytearray, width: int, height: int, shrinking: int, *, strict: bool) -> Pixels:
    pixels: Pixels = _simplejpeg().decode_jpeg(
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
