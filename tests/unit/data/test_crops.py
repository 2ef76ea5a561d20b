import io
import math
from functools import partial
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.data.image_files import jpeg, png, without_simplejpeg

from truelift.data import crops
from truelift.data.crops import Box, centre_box, cut, cut_out, random_box
from truelift.data.image_formats import Encoded, open_bytes


def smooth(width: int, height: int) -> Image.Image:
    """Colours that rise in lines, so that no way of resizing differs from another by much."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / width, 255 * y / height, 127 + 0 * x], 2)
    return Image.fromarray(pixels.astype(np.uint8))


def opened(image: Image.Image, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=95, **options)
    return Image.open(buffer)


def in_memory(encoded: bytes) -> Encoded:
    return Encoded(lambda: open_bytes(encoded), lambda: encoded)


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


@pytest.mark.parametrize("box", [(0, 0, 411, 333), (11, 22, 301, 302), (120, 250, 300, 333), (7, 3, 60, 40)])
@pytest.mark.parametrize("side", [24, 140, 300])
def test_a_jpeg_is_cut_as_pillow_does_it(box: Box, side: int) -> None:
    encoded = jpeg(np.random.default_rng(0).integers(0, 256, (333, 411, 3), dtype=np.uint8), subsampling="4:2:0")
    image = Image.open(io.BytesIO(encoded))
    scale = min(box[2] - box[0], box[3] - box[1]) / side
    shrinking = next(s for s in (8, 4, 2, 1) if s <= max(scale, 1))
    image.draft("RGB", (411 // shrinking, 333 // shrinking))
    part = image.crop(tuple(edge // shrinking for edge in box))  # type: ignore[arg-type]
    expected = np.asarray(part.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
    square = cut(in_memory(encoded), lambda w, h: box, side)
    assert np.abs(square.numpy() - expected).max() <= 1
    assert np.abs(square.numpy() - expected).mean() <= 0.2
    assert torch.equal(square, cut_out(open_bytes(encoded), lambda w, h: box, side))
    assert torch.equal(square, cut(lambda: open_bytes(encoded), lambda w, h: box, side))


def test_a_common_jpeg_is_not_opened_by_pillow() -> None:
    whole = jpeg(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    opener = Encoded(lambda: pytest.fail("it was opened"), lambda: whole)
    assert cut(opener, lambda w, h: (0, 0, w, h), 8).shape == (8, 8, 3)


def test_what_is_no_common_jpeg_is_pillows() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 3
    cases = [png(noise), jpeg(noise[..., 0]), jpeg(noise, exif=turned), jpeg(noise)]
    whole = [cut(in_memory(each), lambda w, h: (0, 0, w, h), 8) for each in cases]
    with without_simplejpeg():
        for each, square in zip(cases, whole, strict=True):
            opener = Encoded(partial(open_bytes, each), lambda: pytest.fail("it was read for nothing"))
            assert torch.equal(cut(opener, lambda w, h: (0, 0, w, h), 8), square)


def test_a_jpeg_larger_than_memory_can_take_is_left_to_who_refuses_it() -> None:
    large = bytearray(jpeg(np.zeros((16, 16, 3), np.uint8)))
    frame = large.index(b"\xff\xc0")
    large[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(Exception, match="pixels"):
        cut(in_memory(bytes(large)), lambda w, h: (0, 0, 20, 20), 8)


def test_damage_below_the_box_is_what_it_is_to_pillow() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (333, 211, 3), dtype=np.uint8)
    whole = jpeg(noise)
    for end in (len(whole) - 1, len(whole) // 2):  # the last rows are lost, and named so wherever the box is
        lost = whole[:end]
        for opener in (partial(open_bytes, lost), in_memory(lost)):
            with pytest.raises(OSError, match="truncated"):
                cut(opener, lambda w, h: (0, 0, w, 20), 20)


@pytest.mark.parametrize(("side", "decoded"), [(300, (640, 480)), (200, (320, 240)), (80, (160, 120)), (20, (80, 60))])
def test_a_jpeg_is_decoded_no_larger_than_need_be(
    side: int, decoded: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "has_decoder", lambda: False)  # Pillow tells what it has decoded
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
