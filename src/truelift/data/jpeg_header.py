"""What a JPEG says of itself before its pixels, read without Pillow: of a common photograph that costs a tenth."""

import re
import struct
from typing import NamedTuple

from PIL import ExifTags, Image

_BEGIN = b"\xff\xd8\xff"
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_TABLES = (0xC4, 0xDB, 0xDD, 0xFE)  # Huffman and quantisation tables, restart intervals, comments
_EXIF_OR_XMP, _SEVERAL_IMAGES = 0xE1, 0xE2
_SCAN = 0xDA
_THREE_COLOURS = b"\x00\x11\x08"  # the length of a frame's segment that has three, and bits a value
_SIZES = struct.Struct(">HHB")
_BLOCK = 8
_ORIENTATION = re.compile(rb'tiff:Orientation(="|>)([0-9])')


class Header(NamedTuple):
    """Of a photograph of three colours and 8 bits, held as it is stored."""

    width: int
    """In pixels, at least 1."""
    height: int
    """In pixels, at least 1."""
    frame: int
    """Where its segment of sizes begins: marker, length, precision, height, width, and 3 bytes a component."""
    unit: int
    """Rows of pixels that are coded together, at least 8."""
    row_by_row: bool
    """Whether the first rows' coefficients need nothing of the rest: not of a progressive one."""


def read_header(encoded: bytes) -> Header | None:
    """The header of a common JPEG.

    Args:
        encoded: A whole file, of whatever kind.

    Returns:
        None where it takes more to tell: it is no JPEG, damaged, gray or CMYK, has arithmetic coding or several images,
        or a note says that it is to be held otherwise than stored.
    """
    if not encoded.startswith(_BEGIN):
        return None
    place, frame, exif, xmp = 2, 0, b"", b""
    while place + 4 <= len(encoded) and encoded[place] == 0xFF:
        kind, length = encoded[place + 1], encoded[place + 2] << 8 | encoded[place + 3]
        if kind == _SCAN:
            return _read_frame(encoded, frame) if frame and (not (exif or xmp) or _is_upright(exif, xmp)) else None
        if kind in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            if frame:
                return None
            frame = place
        elif kind in (_EXIF_OR_XMP, _SEVERAL_IMAGES):
            segment = encoded[place + 4 : place + 2 + length]
            if segment.startswith(b"MPF\0") or (exif and segment.startswith(b"Exif")):
                return None
            if segment.startswith(b"Exif\0\0"):
                exif = segment
            elif segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = segment
        elif kind not in _TABLES and not 0xE0 <= kind <= 0xEF:
            return None
        place += 2 + length
    return None


def _read_frame(encoded: bytes, frame: int) -> Header | None:
    if encoded[frame + 2 : frame + 5] != _THREE_COLOURS:
        return None
    height, width, components = _SIZES.unpack_from(encoded, frame + 5)
    factor = max(encoded[frame + 11] & 15, encoded[frame + 14] & 15, encoded[frame + 17] & 15)
    if components != 3 or not width or not height or not factor:
        return None
    return Header(width, height, frame, _BLOCK * factor, encoded[frame + 1] != _PROGRESSIVE)


def _is_upright(exif: bytes, xmp: bytes) -> bool:
    """Whether neither says that it is held otherwise than stored; as Pillow has it, by Exif where both do."""
    tags = Image.Exif()
    try:
        if exif:
            tags.load(exif)
    except Exception:  # Pillow raises a dozen kinds on broken bytes, and is the one to say what it makes of them
        return False
    noted = _ORIENTATION.search(xmp)
    orientation = tags.get(ExifTags.Base.Orientation, int(noted[2]) if noted else 1)
    return bool(orientation == 1)
