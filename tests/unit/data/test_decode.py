import io
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from PIL import Image

from truelift.data.decode import decode, to_array
from truelift.data.listing import IntArray, Listing, Opener
from truelift.errors import InputError


def listing(*images: Image.Image | bytes) -> Listing:
    def openers(indices: IntArray) -> Iterator[Opener]:
        for i in indices:
            image = images[i]
            yield partial(Image.open, io.BytesIO(image)) if isinstance(image, bytes) else image.copy

    return Listing(np.arange(len(images)) * 10, openers, place="image {}".format)


def gray(value: int, size: tuple[int, int] = (2, 3)) -> Image.Image:
    return Image.new("L", size, value)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (1, 1), 1), [255]),
        (Image.new("L", (1, 1), 7), [7]),
        (Image.new("LA", (1, 1), (7, 0)), [7]),
        (Image.fromarray(np.array([[0x1234]], dtype=np.uint16)), [0x12]),
        (Image.new("RGB", (1, 1), (1, 2, 3)), [1, 2, 3]),
        (Image.new("RGBA", (1, 1), (1, 2, 3, 9)), [1, 2, 3]),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), [255, 0, 0]),
        (Image.new("RGB", (1, 1), (4, 5, 6)).quantize(2), [4, 5, 6]),
    ],
)
def test_modes(image: Image.Image, expected: list[int]) -> None:
    assert to_array(image).tolist() == [[expected]]


def test_32_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="mode F: 32 bits"):
        to_array(Image.new("F", (1, 1)))


def test_a_turned_photograph_is_upright() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise
    image = Image.fromarray(np.array([[0, 100], [0, 100], [0, 100]], dtype=np.uint8))  # 3 rows, 2 columns
    image.save(buffer, "png", exif=exif)
    assert to_array(Image.open(buffer))[..., 0].tolist() == [[0, 0, 0], [100, 100, 100]]


@pytest.mark.parametrize(("size", "scaled"), [((12, 8), (6, 4)), ((8, 12), (4, 6))])
def test_resize_is_of_the_shorter_side_then_the_centre_is_kept(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, size[::-1], dtype=np.uint8))
    left, top = (scaled[0] - 4) // 2, (scaled[1] - 4) // 2
    expected = image.resize(scaled, Image.Resampling.BILINEAR).crop((left, top, left + 4, top + 4))
    np.testing.assert_array_equal(to_array(image, resize=4)[..., 0], np.asarray(expected))


def test_gray_stays_gray_and_colour_makes_all_rgb() -> None:
    pixels, labels = decode(listing(gray(1), gray(2)), np.arange(2))
    assert pixels.shape == (2, 3, 2, 1)
    assert labels.tolist() == [0, 10]
    pixels, _ = decode(listing(gray(1), Image.new("RGB", (2, 3), (4, 5, 6)), gray(2)), np.arange(3))
    assert pixels[:, 0, 0].tolist() == [[1, 1, 1], [4, 5, 6], [2, 2, 2]]


def test_only_what_is_chosen_is_decoded() -> None:
    pixels, labels = decode(listing(b"broken", gray(5), gray(6)), np.array([2]))
    assert (pixels[:, 0, 0, 0].tolist(), labels.tolist()) == ([6], [20])


@pytest.mark.parametrize("resize", [None, 2])
def test_broken_image(resize: int | None) -> None:
    images = listing(gray(5), b"broken", gray(6))
    with pytest.raises(InputError, match=r"^image 1: cannot decode the image \(.*\); --data.on_error skip"):
        decode(images, np.arange(3), resize=resize)
    pixels, labels = decode(images, np.arange(3), resize=resize, on_error="skip")
    assert (pixels[:, 0, 0, 0].tolist(), labels.tolist()) == ([5, 6], [0, 20])


def test_nothing_but_broken_images() -> None:
    with pytest.raises(InputError, match="none of 2 images can be decoded, the first is image 0"):
        decode(listing(b"", b""), np.arange(2), on_error="skip")


def test_mixed_sizes() -> None:
    images = listing(gray(1, (2, 3)), gray(1, (4, 5)))
    with pytest.raises(InputError, match=r"image 0 is 2x3 and image 1 is 4x5 .*--data.resize"):
        decode(images, np.arange(2))
    assert decode(images, np.arange(2), resize=2)[0].shape == (2, 2, 2, 1)


def test_threads_keep_the_order() -> None:
    images = listing(*(gray(i % 256) for i in range(600)))
    pixels, _ = decode(images, np.arange(600), resize=2)
    assert pixels[:, 0, 0, 0].tolist() == [i % 256 for i in range(600)]
