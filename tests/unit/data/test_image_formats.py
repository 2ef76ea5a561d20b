import io
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import EpsImagePlugin, Image
from tests.unit.data.image_files import jpeg, pixels, png, write_parquet

from truelift.data import DataOptions
from truelift.data.decode import attempt, decode, to_array
from truelift.data.image_formats import Encoded, encoded_file, image_endings, open_bytes, open_file
from truelift.data.listing import Listing
from truelift.data.loading import find_source
from truelift.errors import InputError


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "TGA", "SGI", "PCX", "ICO"]
)
def test_formats_that_are_opened(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "image"
    Image.fromarray(pixels(100, side=16)).save(file, kind)
    with Image.open(file) as image:
        expected = to_array(image)
    assert np.array_equal(attempt(lambda: open_file(file), to_array), expected)
    assert np.array_equal(attempt(lambda: open_bytes(file.read_bytes()), to_array), expected)


@pytest.mark.parametrize("kind", ["EPS", "SPIDER", "MSP", "XBM"])
def test_formats_that_are_not(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", never)
    image = Image.fromarray(pixels(100, side=16, channels=1))
    image = image.convert({"MSP": "1", "XBM": "1", "SPIDER": "F"}.get(kind, "L"))
    image.save(tmp_path / f"image.{kind.lower()}", kind)  # SPIDER's writer claims a name's ending for all later files
    file = (tmp_path / f"image.{kind.lower()}").rename(tmp_path / "image.jpg")
    for opener in (lambda: open_file(file), lambda: open_bytes(file.read_bytes())):
        reason = attempt(opener, to_array)
        assert isinstance(reason, str)
        assert "cannot identify image file" in reason
    assert {".eps", ".jpg", ".heic", ".png"} <= image_endings()


def bomb(side: int) -> bytes:
    """A gray PNG that claims side² pixels, in some bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 13_000, 30_000, 2**31 - 1])
def test_images_that_claim_to_be_large_are_refused_undecoded(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("memory was taken"))
    reason = attempt(lambda: open_bytes(bomb(side)), to_array)
    assert isinstance(reason, str)
    assert "pixels" in reason


def test_more_images_than_memory_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    image = io.BytesIO()
    Image.fromarray(pixels(1, side=16)).save(image, "PNG")
    encoded = image.getvalue()
    listing = Listing(np.zeros(6, np.int64), lambda indices: (lambda: open_bytes(encoded) for _ in indices), str)
    assert len(decode(listing, np.arange(5))[0]) == 5  # 3,840 bytes of 4,096
    with pytest.raises(InputError, match=r"6 images of 16x16 .*need 0.0 GiB of memory.*set --data.resize"):
        decode(listing, np.arange(6))
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert len(decode(listing, np.arange(6))[0]) == 6


def test_an_encoded_file_has_its_bytes_where_they_are_a_jpegs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph, drawing, queue = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.jpg"
    photograph.write_bytes(jpeg(pixels(100, side=16)))
    drawing.write_bytes(png(pixels(100, side=16)))
    os.mkfifo(queue)
    assert encoded_file(photograph).read() == photograph.read_bytes()
    assert encoded_file(str(drawing)).read() == b""
    with encoded_file(drawing)() as image:
        assert image.format == "PNG"
    for call in (encoded_file(queue), encoded_file(queue).read):
        with pytest.raises(ValueError, match="no regular file"):
            call()
    with pytest.raises(FileNotFoundError):
        encoded_file(tmp_path / "d.jpg").read()
    monkeypatch.setattr("truelift.data.image_formats._LARGEST_READ", photograph.stat().st_size - 1)
    assert encoded_file(photograph).read() == b""


@pytest.mark.parametrize("kind", ["folder", "zip", "parquet", "arrow"])
def test_bytes_are_of_the_image_that_is_opened(tmp_path: Path, kind: str) -> None:
    images = [jpeg(np.full((16, 16, 3), 50 * i, np.uint8)) for i in range(4)]
    if kind == "parquet":
        write_parquet(tmp_path / "data.parquet", images, {"label": [0, 1, 0, 1]}, rows_a_group=2)
    elif kind == "arrow":
        table = pa.table({"image": [{"bytes": each, "path": None} for each in images], "label": [0, 1, 0, 1]})
        with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    else:
        for i, each in enumerate(images):
            folder = tmp_path / f"class{i % 2}"
            folder.mkdir(exist_ok=True)
            (folder / f"{i}.jpg").write_bytes(each)
    place = tmp_path
    if kind == "zip":
        place = Path(shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path))
    train = find_source(DataOptions(name="mine", path=str(place))).train
    for index in range(4):
        opener = train.opener(index)
        assert isinstance(opener, Encoded)
        with opener() as opened, open_bytes(opener.read()) as read:
            assert np.array_equal(np.asarray(opened), np.asarray(read))
