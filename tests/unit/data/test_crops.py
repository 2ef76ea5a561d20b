import io
import math
import sys
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.data.image_files import jpeg, png

from truelift.data import crops
from truelift.data import jpeg as jpeg_module
from truelift.data.crops import Box, centre_box, cut_out, random_box
from truelift.data.jpeg import decode_jpeg, first_rows


def smooth(width: int, height: int) -> Image.Image:
    """Colours that rise in lines, so that no way of resizing differs from another by much."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / width, 255 * y / height, 127 + 0 * x], 2)
    return Image.fromarray(pixels.astype(np.uint8))


def opened(image: Image.Image, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=95, **options)
    return Image.open(buffer)


def test_random_boxes_lie_inside_and_have_the_area_and_shape_wanted() -> None:
    shares, shapes, lefts = [], [], []
    for seed in range(3000):
        left, top, right, bottom = random_box(500, 400, 0.08, Random(seed))
        assert 0 <= left < right <= 500
        assert 0 <= top < bottom <= 400
        shares.append((right - left) * (bottom - top) / 200_000)
        shapes.append((right - left) / (bottom - top))
        lefts.append(left / max(500 - (right - left), 1))
    assert 0.075 < min(shares) < 0.1
    assert 0.9 < max(shares) <= 1
    assert 0.74 < min(shapes) < 0.76
    assert 1.32 < max(shapes) < 1.35
    assert abs(np.mean(lefts) - 0.5) < 0.03
    small = [share for share in shares if share < 0.5]  # which nearly always fit, so that they are uniform
    assert abs(np.mean(small) - 0.29) < 0.01


def test_a_box_is_the_seeds_alone() -> None:
    assert random_box(300, 200, 0.08, Random(5)) == random_box(300, 200, 0.08, Random(5))
    assert len({random_box(300, 200, 0.08, Random(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 10), (493, 0, 507, 10)), ((10, 1000), (0, 493, 10, 507)), ((1, 1), (0, 0, 1, 1))],
)
def test_where_no_box_fits_it_is_the_largest_in_the_centre(size: tuple[int, int], expected: Box) -> None:
    assert random_box(*size, 1.0, Random(0)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((256, 256, 0.875), (16, 16, 240, 240)), ((500, 300, 1.0), (100, 0, 400, 300)), ((1, 9, 0.1), (0, 4, 1, 5))],
)
def test_centre_box(arguments: tuple[int, int, float], expected: Box) -> None:
    assert centre_box(*arguments) == expected


@pytest.mark.parametrize("box", [(0, 0, 60, 60), (10, 5, 52, 47), (3, 2, 20, 40)])
def test_it_is_pillows_crop_and_resize(box: Box) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 60, 3), dtype=np.uint8))
    expected = np.asarray(image.crop(box).resize((24, 24), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(cut_out(image, lambda w, h: box, 24).numpy() - expected).max() <= 1


def test_simplejpeg_gives_pillows_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (333, 411, 3), dtype=np.uint8))
    decoded = []
    for shrinking in (1, 2, 4, 8):
        pixels = decode_jpeg(opened(noise), shrinking)
        assert pixels is not None
        decoded.append(pixels.shape)
        by_pillow = opened(noise)
        by_pillow.draft("RGB", (411 // shrinking, 333 // shrinking))
        assert np.array_equal(pixels, np.asarray(by_pillow))
    assert decoded == [(333, 411, 3), (167, 206, 3), (84, 103, 3), (42, 52, 3)]
    squares = [cut_out(opened(noise), lambda w, h: (11, 22, 301, 302), 50)]
    monkeypatch.setattr(crops, "decode_jpeg", lambda image, shrinking, bottom: None)
    squares.append(cut_out(opened(noise), lambda w, h: (11, 22, 301, 302), 50))
    assert torch.equal(*squares)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("restart", [0, 1])
def test_rows_below_those_wanted_are_not_decoded_and_change_nothing(subsampling: str, restart: int) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (333, 211, 3), dtype=np.uint8))
    options = {"subsampling": subsampling, "restart_marker_rows": restart}
    for shrinking in (1, 2, 4, 8):
        whole = decode_jpeg(opened(noise, **options), shrinking)
        assert whole is not None
        for bottom in (1, 15, 16, 17, 100, 255, 300, 317, 333):
            upper = decode_jpeg(opened(noise, **options), shrinking, bottom)
            assert upper is not None
            rows = -(-bottom // shrinking)
            assert rows <= len(upper) <= -(-min(333, bottom + 31) // shrinking)
            assert np.array_equal(upper[:rows], whole[:rows])


def test_damage_below_the_box_is_what_it_is_to_pillow() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (333, 211, 3), dtype=np.uint8)
    whole = jpeg(noise)
    for cut in (len(whole) - 1, len(whole) // 2):  # the last rows are lost, and named so wherever the box is
        with pytest.raises(OSError, match="truncated"):
            cut_out(Image.open(io.BytesIO(whole[:cut])), lambda w, h: (0, 0, w, 20), 20)
    middle = len(whole) // 2
    broken = whole[:middle] + bytes(200) + whole[middle + 200 :]
    by_pillow = np.asarray(Image.open(io.BytesIO(broken)))
    for bottom in (20, 280):
        pixels = decode_jpeg(Image.open(io.BytesIO(broken)), 1, bottom)
        assert pixels is not None
        assert np.array_equal(pixels[:bottom], by_pillow[:bottom])


def test_only_a_whole_baseline_jpeg_is_shortened() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 60, 3), dtype=np.uint8))
    encoded = {}
    for progressive in (False, True):
        buffer = io.BytesIO()
        image.save(buffer, "jpeg", progressive=progressive, subsampling="4:2:0")
        encoded[progressive] = buffer.getvalue()
    shorter = first_rows(encoded[False], 100, 17)
    assert shorter is not None
    assert shorter[1] == 48
    assert Image.open(io.BytesIO(shorter[0])).size == (60, 48)
    assert first_rows(encoded[True], 100, 17) is None
    assert first_rows(encoded[False], 100, 90) is None  # nothing is saved
    assert first_rows(encoded[False], 99, 17) is None  # not the photograph that was opened
    assert first_rows(encoded[False] + b"\0", 100, 17) is None
    frame = encoded[False].index(b"\xff\xc0")
    for end in range(frame + 9):  # cut before its height is told
        assert first_rows(encoded[False][:end] + b"\xff\xd9", 100, 17) is None


def test_pillow_decodes_what_simplejpeg_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode_jpeg(Image.open(io.BytesIO(png(np.zeros((9, 9, 3), np.uint8)))), 1) is None
    assert decode_jpeg(opened(Image.new("L", (9, 9))), 1) is None
    monkeypatch.setitem(sys.modules, "simplejpeg", None)  # importing it then fails
    jpeg_module._simplejpeg.cache_clear()
    assert decode_jpeg(opened(smooth(9, 9)), 1) is None
    jpeg_module._simplejpeg.cache_clear()


@pytest.mark.parametrize(("side", "decoded"), [(300, (640, 480)), (200, (320, 240)), (80, (160, 120)), (20, (80, 60))])
def test_a_jpeg_is_decoded_no_larger_than_need_be(
    side: int, decoded: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "decode_jpeg", lambda image, shrinking, bottom: None)  # Pillow tells what it has decoded
    image, box = opened(smooth(640, 480)), (80, 40, 520, 480)
    square = cut_out(image, lambda w, h: box, side).numpy().astype(int)
    assert image.size == decoded
    assert min(image.size[0] * 440 // 640, image.size[1] * 440 // 480) >= side or decoded == (640, 480)
    whole = opened(smooth(640, 480)).crop(box).resize((side, side), Image.Resampling.BILINEAR)
    assert np.abs(square - np.asarray(whole)).max() <= 4


def test_a_turned_photograph_is_cut_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    stored = smooth(640, 480)
    sizes = []

    def left_half(width: int, height: int) -> Box:
        sizes.append((width, height))
        return 0, 0, width // 2, width // 2

    for side in (200, 50):  # whole, and decoded at 1/4
        square = cut_out(opened(stored, exif=exif), left_half, side).numpy().astype(int)
        upright = stored.transpose(Image.Transpose.ROTATE_270)
        expected = upright.crop((0, 0, 240, 240)).resize((side, side), Image.Resampling.BILINEAR)
        assert np.abs(square - np.asarray(expected)).max() <= 8
    assert sizes == [(480, 640)] * 2


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_every_mode_comes_out_in_colours(mode: str) -> None:
    image = Image.new("RGB", (30, 20), (90, 90, 90))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    square = cut_out(image, lambda w, h: (0, 0, 20, 20), 8)
    assert square.shape == (8, 8, 3)
    assert square.float().sub(90).abs().max() <= 1


def test_broken_bytes_raise() -> None:
    whole = jpeg(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(OSError, match="truncated"):
        cut_out(Image.open(io.BytesIO(whole[: len(whole) // 2])), lambda w, h: (0, 0, w, h), math.isqrt(64))
