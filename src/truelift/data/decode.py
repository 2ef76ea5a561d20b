"""From encoded images to one uint8 array. N images, H rows, W columns, C channels."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from truelift.data.listing import IntArray, Labels, Listing, Opener
from truelift.errors import InputError, one_line
from truelift.options import OPERATIONAL, at_least
from truelift.processes import total_memory

Pixels = npt.NDArray[np.uint8]

T = TypeVar("T")

# Images handed to the threads at a time: bounds the encoded images held in memory.
_CHUNK = 256

_GRAY_MODES = {"1", "L", "LA", "La"}

BRIGHT = 16
"""What the brightest of all pixels of images with 16 bits a channel is at least, as one of 8 bits."""

_LOOKED_AT = 100

SIDE = at_least(1, 65_536)
"""The range of a side in pixels."""


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """From encoded images to pixels."""

    resize: Annotated[int | None, SIDE] = None
    """Resize the shorter side to this number of pixels and crop the centre square. With stream: the square's side, in
    training (a random box) and evaluation (the centre)."""

    on_error: Annotated[Literal["stop", "skip"], OPERATIONAL] = "stop"
    """What to do with an image that cannot be decoded: stop and name it, or skip and count it."""

    cache: Annotated[bool, OPERATIONAL] = True
    """Keep decoded images on disk for the next run (TRUELIFT_CACHE names the folder); not with stream."""


def decode(
    listing: Listing, indices: IntArray, *, resize: int | None = None, on_error: Literal["stop", "skip"] = "stop"
) -> tuple[Pixels, Labels]:
    """Decodes the images at ascending `indices`.

    Args:
        listing: The images.
        indices: int64 (N,), ascending.
        resize: Shorter side in pixels, of which the centre square is kept; None keeps the size.
        on_error: Whether an image that cannot be decoded stops the program or is left out.

    Returns:
        uint8 (M, H, W, C) with C = 1 where every image is gray, otherwise 3, and their labels as the listing has them;
        M = N unless images were left out.

    Raises:
        InputError: An image cannot be decoded and `on_error` is "stop", none can, or two images differ in size.
    """
    pixels, decoded = decode_indices(listing, indices, resize=resize, on_error=on_error)
    return pixels, listing.labels[decoded]


def decode_indices(
    listing: Listing, indices: IntArray, *, resize: int | None, on_error: Literal["stop", "skip"]
) -> tuple[Pixels, IntArray]:
    """As `decode`, with the indices of the images, int64 (M,), in place of their labels."""
    if listing.pixels is not None and resize is None:
        return listing.pixels(indices), indices
    pixels: Pixels | None = None
    decoded: list[int] = []
    for index, image in zip(indices.tolist(), _decoded(listing.openers(indices), resize), strict=True):
        if isinstance(image, str):
            if on_error == "stop":
                raise cannot_decode(listing.place(index), image)
            continue
        if pixels is None:
            pixels = _room(len(indices), image)
        if image.shape[:2] != pixels.shape[1:3]:
            raise InputError(
                f"images must have one size: {listing.place(decoded[0])} is {_size(pixels[0])} and "
                f"{listing.place(index)} is {_size(image)} (width x height); set --data.resize"
            )
        if image.shape[2] > pixels.shape[3]:
            pixels = as_rgb(pixels)  # the first colour image after gray ones; happens once
        pixels[len(decoded)] = image  # a gray image is broadcast over RGB
        decoded.append(index)
    if pixels is None:
        raise none_decoded(listing, indices)
    return pixels[: len(decoded)], np.array(decoded, dtype=np.int64)


def none_decoded(listing: Listing, indices: IntArray) -> InputError:
    """The error for images none of which can be decoded."""
    return InputError(f"none of {len(indices)} images can be decoded, the first is {listing.place(int(indices[0]))}")


def require_bright(listing: Listing, indices: IntArray) -> None:
    """Refuse images of 16 bits a channel, none of which has a pixel of `BRIGHT` or more: 8 or 12 bits saved as 16.

    The upper 8 bits are read, in which such have 16 levels, or are black.

    Args:
        listing: The images.
        indices: int64 (N,), those whose pixels are so dark.

    Raises:
        InputError: They have 16 bits.
    """
    deep = first_deep(listing, indices)
    if deep is not None:
        raise InputError(
            f"images of 16 bits a channel must use their range, 0 to 65535, got values below {256 * BRIGHT} alone "
            f"(the first is {listing.place(deep)}): scale them to that range, or save them with 8 bits"
        )


def first_deep(listing: Listing, indices: IntArray) -> int | None:
    """The first of these images that can be decoded, if it has 16 bits a channel."""
    for index in indices[:_LOOKED_AT].tolist():
        deep = attempt(listing.opener(index), _has_16_bits)
        if not isinstance(deep, str):  # one that cannot be decoded was left out
            return index if deep else None
    return None


def is_bright(pixels: Pixels) -> bool:
    """Whether a pixel has `BRIGHT` or more; one is found at once, as a rule."""
    return any(bool((image >= BRIGHT).any()) for image in pixels)


def _has_16_bits(image: Image.Image) -> bool:
    """Whether a channel has 16 bits; Pillow opens such images in colour as of 8, and says so in how it decodes them."""
    tiles = getattr(image, "tile", ())
    return _is_16_bit_gray(image) or any(";16" in str(tile[3]) for tile in tiles)


def _is_16_bit_gray(image: Image.Image) -> bool:
    """Whether values are 0 to 65535, to which Pillow scales those of PGM, in a mode of more bits."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def as_rgb(pixels: Pixels) -> Pixels:
    """Gray (…, 1) as RGB (…, 3)."""
    return np.repeat(pixels, 3, axis=-1)


def to_array(image: Image.Image, resize: int | None = None) -> Pixels:
    """One image as uint8 (H, W, C), upright, C = 1 where its mode is gray and 3 otherwise; transparency is dropped.

    Raises:
        ValueError: As `as_8_bit`.
    """
    image = as_8_bit(image)
    if resize is not None:
        image = _centre_square(image, resize)
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the image upright, which needs no decoding."""
    turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)  # by a right angle
    return (image.height, image.width) if turned else image.size


def as_8_bit(image: Image.Image) -> Image.Image:
    """The image upright, of mode L where it is gray and RGB otherwise; transparency is dropped.

    Raises:
        ValueError: The mode has 32 bits a pixel, of which nothing tells the range.
    """
    deep = _is_16_bit_gray(image)
    if image.mode in ("I", "F") and not deep:
        raise ValueError(f"mode {image.mode}: 32 bits a channel, of unknown range")
    # Cameras store a turned sensor image and a note how to hold it.
    ImageOps.exif_transpose(image, in_place=True)
    if deep:
        # Pillow's own conversion has clipped, not scaled, 16 bits to 8.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in _GRAY_MODES:
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGBA").convert("RGB")  # by way of RGBA: a palette may hold transparency
    return image if image.mode == "RGB" else image.convert("RGB")


def _centre_square(image: Image.Image, side: int) -> Image.Image:
    """The shorter side scaled to `side` (antialiased bilinear), then the centre square; done in one step."""
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    box = (left, top, left + short, top + short)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box)


def cannot_decode(place: str, reason: str) -> InputError:
    """The error for an image that cannot be decoded."""
    return InputError(f"{place}: cannot decode the image ({reason}); --data.on_error skip leaves such out")


def attempt(opener: Opener, convert: Callable[[Image.Image], T]) -> T | str:
    """What `convert` makes of the opened image, or the reason why it cannot be decoded."""

    def make() -> T:
        with opener() as image:
            return convert(image)

    return attempted(make)


def attempted(make: Callable[[], T]) -> T | str:
    """What `make` makes of an encoded image, or the reason why it cannot be decoded."""
    try:
        return make()
    except (MemoryError, InputError):
        raise
    # Pillow's decoders raise a dozen kinds of exception on broken bytes, SyntaxError and struct.error among them.
    except Exception as error:
        return one_line(error) or type(error).__name__


def _decoded(openers: Iterator[Opener], resize: int | None) -> Iterator[Pixels | str]:
    """Each image, or in its place the reason why it cannot be decoded."""
    convert = partial(to_array, resize=resize)
    if resize is None:
        # Small images, as a rule: 60 us each at 32 pixels, most of it in Python, and threads made that slower.
        yield from (attempt(opener, convert) for opener in openers)
        return
    # Photographs: milliseconds each in Pillow, which lets other threads run meanwhile. `map` keeps the order.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        while chunk := list(islice(openers, _CHUNK)):
            yield from pool.map(partial(attempt, convert=convert), chunk)


def _room(n: int, image: Pixels) -> Pixels:
    """Memory for n images like this one.

    Raises:
        InputError: The machine has less.
    """
    wanted, there = n * image.size, total_memory()
    if there is not None and wanted > there:
        raise InputError(
            f"{n} images of {_size(image)} (width x height) need {wanted / 2**30:.1f} GiB of memory, this machine has "
            f"{there / 2**30:.1f}; set --data.resize, or --data.stream"
        )
    return np.empty((n, *image.shape), dtype=np.uint8)


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
