import io
import math
import sys
from random import Random

import numpy as np
import pytest
import torch
from image_files import jpeg, png
from PIL import Image

from truelift.data import crops
from truelift.data import jpeg as jpeg_module
from truelift.data.crops import Box, centre_box, cut_out, random_box
from truelift.data.jpeg import decode_jpeg


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
    monkeypatch.setattr(crops, "decode_jpeg", lambda image, shrinking: None)
    squares.append(cut_out(opened(noise), lambda w, h: (11, 22, 301, 302), 50))
    assert torch.equal(*squares)


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
    monkeypatch.setattr(crops, "decode_jpeg", lambda image, shrinking: None)  # Pillow tells what it has decoded
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
