"""Images of 16 bits a channel, which are read as 8 by their upper half."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from truelift.data import DataOptions, load, load_any
from truelift.data.decode import to_array
from truelift.data.image_formats import open_bytes
from truelift.errors import InputError


def colour_png(array: npt.NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits a channel in colour, which Pillow does not write."""
    height, width, _ = array.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(raw)))
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*parts, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def portable(array: npt.NDArray[np.integer[Any]], highest: int = 65535) -> bytes:
    """A PGM of 16 bits."""
    height, width = array.shape
    return f"P5\n{width} {height}\n{highest}\n".encode() + array.astype(">u2").tobytes()


def write(root: Path, form: str, brightest: int) -> Path:
    for number in range(20):
        folder = root / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(number).integers(0, brightest + 1 if number % 3 == 1 else 200, (8, 8, 3))
        values[0, 0] = brightest if number % 3 == 1 else 0
        if form == "colour":
            (folder / f"{number}.png").write_bytes(colour_png(values.astype(np.uint16)))
        elif form == "8 bits":
            Image.fromarray(values[..., 0].astype(np.uint8)).save(folder / f"{number}.png")
        elif form == "pgm":
            (folder / f"{number}.pgm").write_bytes(portable(values[..., 0]))
        else:
            Image.fromarray(values[..., 0].astype(np.uint16)).save(folder / f"{number}.{form}")
    return root


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", ["png", "tiff", "colour", "pgm"])
@pytest.mark.parametrize("brightest", [255, 4095])
def test_values_of_fewer_bits_are_refused(tmp_path: Path, form: str, brightest: int, stream: bool) -> None:
    write(tmp_path / "deep", form, brightest)
    options = DataOptions(name="deep", path=str(tmp_path / "deep"), stream=stream, resize=8, cache=False)
    with pytest.raises(InputError, match="16 bits a channel must use their range, 0 to 65535"):
        _ = load(options, split_seed=0).mean


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("brightest", [255, 4095, 65535])
def test_values_of_fewer_bits_are_refused_among_images_of_no_class(
    tmp_path: Path, brightest: int, stream: bool
) -> None:
    """Black images would be told from all others."""
    write(tmp_path / "deep", "png", brightest)
    options = DataOptions(stream=stream, resize=8, cache=False)
    if brightest > 4095:
        assert len(load_any(tmp_path / "deep", options, most=10)) == 10
        return
    with pytest.raises(InputError, match="16 bits a channel must use their range, 0 to 65535"):
        load_any(tmp_path / "deep", options, most=10)


@pytest.mark.parametrize("stream", [False, True])
def test_some_bright_images_are_enough(tmp_path: Path, stream: bool) -> None:
    write(tmp_path / "deep", "png", 65535)
    options = DataOptions(
        name="deep", path=str(tmp_path / "deep"), stream=stream, resize=8, validation_fraction=0, cache=False
    )
    assert 0 < load(options, split_seed=0).mean[0] < 0.3


def test_dark_images_of_8_bits_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "dark", "8 bits", 15)
    for file in (tmp_path / "dark").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(file)) % 16).save(file)
    assert load(DataOptions(name="dark", path=str(tmp_path / "dark")), split_seed=0).mean[0] < 0.06


def test_gray_portable_maps_are_read_by_their_upper_bits() -> None:
    """By hand: 16 bits divided by 256; 12 bits by 16, after Pillow has scaled them to 16."""
    for highest, divisor in ((65535, 256), (4095, 16)):
        values = np.array([[0, 300, highest // 2, highest]])
        array = to_array(open_bytes(portable(values, highest)))
        assert array[..., 0].tolist() == (values // divisor).tolist()
