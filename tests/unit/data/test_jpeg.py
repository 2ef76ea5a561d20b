import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.unit.data.image_files import jpeg, without_simplejpeg

from truelift.data.jpeg import decode_jpeg, first_rows, has_decoder
from truelift.data.jpeg_header import Header, read_header


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def header_of(encoded: bytes) -> Header:
    header = read_header(encoded)
    assert header is not None
    return header


def by_simplejpeg(encoded: bytes, shrinking: int = 1, bottom: int | None = None) -> npt.NDArray[np.uint8]:
    header = header_of(encoded)
    pixels = decode_jpeg(encoded, header, shrinking, header.height if bottom is None else bottom)
    assert pixels is not None
    return pixels


def test_simplejpeg_gives_pillows_pixels() -> None:
    encoded = jpeg(noise(333, 411), quality=95)
    shapes = []
    for shrinking in (1, 2, 4, 8):
        pixels = by_simplejpeg(encoded, shrinking)
        shapes.append(pixels.shape)
        by_pillow = Image.open(io.BytesIO(encoded))
        by_pillow.draft("RGB", (411 // shrinking, 333 // shrinking))
        assert np.array_equal(pixels, np.asarray(by_pillow))
    assert shapes == [(333, 411, 3), (167, 206, 3), (84, 103, 3), (42, 52, 3)]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("restart", [0, 1])
def test_rows_below_those_wanted_are_not_decoded_and_change_nothing(subsampling: str, restart: int) -> None:
    encoded = jpeg(noise(333, 211), quality=95, subsampling=subsampling, restart_marker_rows=restart)
    for shrinking in (1, 2, 4, 8):
        whole = by_simplejpeg(encoded, shrinking)
        for bottom in (1, 15, 16, 17, 100, 255, 300, 317, 333):
            upper = by_simplejpeg(encoded, shrinking, bottom)
            rows = -(-bottom // shrinking)
            assert rows <= len(upper) <= -(-min(333, bottom + 31) // shrinking)
            assert np.array_equal(upper[:rows], whole[:rows])


def test_damage_in_the_middle_is_what_it_is_to_pillow() -> None:
    whole = jpeg(noise(333, 211))
    middle = len(whole) // 2
    broken = whole[:middle] + bytes(200) + whole[middle + 200 :]
    by_pillow = np.asarray(Image.open(io.BytesIO(broken)))
    for bottom in (20, 280):
        assert np.array_equal(by_simplejpeg(broken, 1, bottom)[:bottom], by_pillow[:bottom])


def test_only_a_whole_baseline_jpeg_is_shortened() -> None:
    encoded = {kind: jpeg(noise(100, 60), progressive=kind, subsampling="4:2:0") for kind in (False, True)}
    header = header_of(encoded[False])
    shorter = first_rows(encoded[False], header, 17)
    assert shorter is not None
    assert shorter[1] == 48
    assert Image.open(io.BytesIO(shorter[0])).size == (60, 48)
    assert first_rows(encoded[True], header_of(encoded[True]), 17) is None
    assert first_rows(encoded[False], header, 90) is None  # nothing is saved
    assert first_rows(encoded[False] + b"\0", header, 17) is None
    assert first_rows(encoded[False][:-1], header, 17) is None


def test_pillow_has_to_do_what_is_broken_and_the_decoder_may_be_missing() -> None:
    encoded = jpeg(noise(64, 64))
    header = header_of(encoded)
    assert decode_jpeg(encoded[: len(encoded) // 2], header, 1, header.height) is None
    with without_simplejpeg():
        assert not has_decoder()
    assert has_decoder()
