import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.unit.data.image_files import jpeg, png

from truelift.data.jpeg_header import read_header

GRAY = np.zeros((100, 60), np.uint8)
PIXELS = np.random.default_rng(0).integers(0, 256, (100, 60, 3), dtype=np.uint8)
XMP = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation=%s/>"


def with_segment(encoded: bytes, kind: int, content: bytes) -> bytes:
    return encoded[:2] + bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2, "big") + content + encoded[2:]


def noted(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("options", "unit", "row_by_row"),
    [
        ({"subsampling": "4:4:4"}, 8, True),
        ({"subsampling": "4:2:2"}, 8, True),
        ({"subsampling": "4:2:0"}, 16, True),
        ({"subsampling": "4:2:0", "progressive": True}, 16, False),
        ({"subsampling": "4:2:0", "restart_marker_rows": 1, "comment": b"a comment"}, 16, True),
        ({"subsampling": "4:4:4", "exif": noted(1), "icc_profile": b"colours"}, 8, True),
    ],
)
def test_header(options: dict[str, Any], unit: int, row_by_row: bool) -> None:
    encoded = jpeg(PIXELS, **options)
    header = read_header(encoded)
    assert header is not None
    assert (header.width, header.height, header.unit, header.row_by_row) == (60, 100, unit, row_by_row)
    assert encoded[header.frame : header.frame + 2] in (b"\xff\xc0", b"\xff\xc2")


@pytest.mark.parametrize("orientation", range(9))
def test_what_is_turned_is_told_as_pillow_tells_it(orientation: int) -> None:
    plain = jpeg(PIXELS)
    cases = [jpeg(PIXELS, exif=noted(orientation)), with_segment(plain, 0xE1, XMP % b'"%d"' % orientation)]
    cases.append(with_segment(cases[0], 0xE1, XMP % b'"6"'))  # Exif goes first
    for encoded in cases:
        by_pillow = Image.open(io.BytesIO(encoded)).getexif().get(0x0112, 1)
        assert by_pillow == orientation
        assert (read_header(encoded) is None) == (by_pillow != 1)


def test_what_takes_more_to_tell() -> None:
    encoded = jpeg(PIXELS)
    assert read_header(encoded) is not None
    cmyk = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(cmyk, "jpeg")
    frame = encoded.index(b"\xff\xc0")
    for other in (
        b"",
        png(PIXELS),
        jpeg(GRAY),
        cmyk.getvalue(),
        with_segment(encoded, 0xE2, b"MPF\0"),  # several images
        with_segment(jpeg(PIXELS, exif=noted(1)), 0xE1, b"Exif\0\0"),  # two that Pillow joins
        with_segment(encoded, 0xE1, b"Exif\0\0nothing"),
        with_segment(encoded, 0xC0, encoded[frame + 4 : frame + 19]),  # two frames
        with_segment(encoded, 0xC9, b""),
        encoded[:frame] + b"\xff\xc9" + encoded[frame + 2 :],  # arithmetic coding
        encoded[: frame + 4] + b"\x0c" + encoded[frame + 5 :],  # 12 bits
        encoded[: frame + 5] + bytes(2) + encoded[frame + 7 :],  # a height that comes later
    ):
        assert read_header(other) is None


def test_broken_bytes_are_none_and_raise_nothing() -> None:
    encoded = jpeg(PIXELS, exif=noted(1))
    scan = encoded.index(b"\xff\xda")
    assert read_header(encoded[: scan + 4]) is not None
    for end in range(scan + 4):
        assert read_header(encoded[:end]) is None
    rng = np.random.default_rng(0)
    for _ in range(3000):
        broken = bytearray(encoded)
        for place in rng.integers(0, scan + 4, rng.integers(1, 4)):
            broken[place] = (0, 1, 0xFF, int(rng.integers(256)))[rng.integers(4)]
        header = read_header(bytes(broken))
        assert header is None or (header.width > 0 < header.height)
