"""Image files: cut off, damaged, of other formats than their endings say, of claimed sizes, odd modes and names."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from tests.attack.case import Attack, Case, as_command
from tests.attack.mutations import mutated_bytes

_SIDE = 8


def encoded(mode: str = "RGB", form: str = "PNG", side: int = _SIDE, **options: object) -> bytes:
    """A small image of noise."""
    noise = np.random.default_rng(3).integers(0, 256, (side, side, 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA") if mode == "RGBA" else Image.fromarray(noise[..., :3].copy()).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _png(width: int, height: int, depth: int = 8, colour: int = 2, data: bytes | None = None) -> bytes:
    """A PNG file whose header says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(bytes(100)) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@cache
def _bomb() -> bytes:
    return _png(9_999, 9_999, data=zlib.compress(bytes(100 << 20), 9))


@cache
def _text_bomb() -> bytes:
    packed = zlib.compress(bytes(100 << 20), 9)
    content = b"Comment\0\0" + packed
    kind = b"zTXt"
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    plain = encoded()
    return plain[:33] + chunk + plain[33:]


def _animated() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (_SIDE, _SIDE), (i, i, i)) for i in range(5)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(form="JPEG", exif=exif.tobytes())


def _sixteen() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((_SIDE, _SIDE), 40_000, np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


_EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
(/tmp/attack-has-run) (w) file closefile
showpage
%%EOF
"""
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><script>alert(1)</script></svg>'

# To each image what it holds, and whether it must be refused.
_CONTENTS: Mapping[str, tuple[Callable[[], bytes], bool | None]] = {
    "png": (lambda: encoded(), False),
    "jpeg": (lambda: encoded(form="JPEG"), False),
    "webp": (lambda: encoded(form="WEBP"), False),
    "bmp": (lambda: encoded(form="BMP"), False),
    "tiff": (lambda: encoded(form="TIFF"), False),
    "gif": (lambda: encoded(form="GIF"), False),
    "grey": (lambda: encoded("L"), False),
    "one bit": (lambda: encoded("1"), False),
    "palette": (lambda: encoded("P"), False),
    "transparent": (lambda: encoded("RGBA"), False),
    "grey and transparent": (lambda: encoded("LA"), False),
    "cmyk": (lambda: encoded("CMYK", "JPEG"), False),
    "cmyk tiff": (lambda: encoded("CMYK", "TIFF"), False),
    "lab tiff": (lambda: encoded("LAB", "TIFF"), None),
    "16 bits": (_sixteen, False),
    "32 bits": (lambda: encoded("I", "TIFF"), True),
    "float": (lambda: encoded("F", "TIFF"), True),
    "animated": (_animated, False),
    **{f"turned {i}": (partial(_turned, i), False) for i in (1, 3, 6, 8)},
    **{f"turned {i}": (partial(_turned, i), None) for i in (0, 9, 65535)},
    "nothing": (lambda: b"", True),
    "text": (lambda: b"no image", True),
    "a zip": (lambda: b"PK\x03\x04" + bytes(60), True),
    "eps": (lambda: _EPS, True),
    "pdf": (lambda: b"%PDF-1.4\n", True),
    "svg": (lambda: _SVG, True),
    "pickle": (lambda: b"\x80\x04cos\nsystem\n(S'touch /tmp/attack-has-run'\ntR.", True),
    "python": (lambda: b"#!/usr/bin/python\nraise SystemExit", True),
    "numpy": (lambda: b"\x93NUMPY\x01\x00v\x00", True),
    "fli": (lambda: bytes(4) + b"\x11\xaf" + bytes(200), True),
    "a header of 1 GiB": (lambda: _png(30_000, 30_000), True),
    "a header of 2^31 squared": (lambda: _png(2**31 - 1, 2**31 - 1), True),
    "a header of no pixels": (lambda: _png(0, 0), True),
    "a header of one long line": (lambda: _png(2**31 - 1, 1), True),
    "a bad depth": (lambda: _png(8, 8, depth=3), True),
    "a bad colour": (lambda: _png(8, 8, colour=9), True),
    "too few pixels": (lambda: _png(8, 8, data=zlib.compress(bytes(10))), True),
    "pixels that are not packed": (lambda: _png(8, 8, data=bytes(50)), True),
    "a bomb of pixels": (_bomb, True),
    "a bomb of text": (_text_bomb, None),
    "half a png": (lambda: encoded()[: len(encoded()) // 2], True),
    "half a jpeg": (lambda: encoded(form="JPEG")[: len(encoded(form="JPEG")) // 2], True),
    "half a gif": (lambda: encoded(form="GIF")[:40], True),
    "half a webp": (lambda: encoded(form="WEBP")[: len(encoded(form="WEBP")) // 2], True),
    "half a bmp": (lambda: encoded(form="BMP")[:80], True),
    "half a tiff": (lambda: encoded(form="TIFF")[:60], True),
    "a start only": (lambda: encoded()[:8], True),
    "more behind the end": (lambda: encoded() + bytes(1000), None),
    "another size": (lambda: encoded(side=9), True),
    "one pixel": (lambda: encoded(side=1), True),
}
_NAMES = (
    *(
        "a b.png",
        "é.png",
        "😀.png",
        "-rf.png",
        "a\nb.png",
        "\x1b[2J.png",
        "\u202egnp.png",
        "'; rm -rf x.png",
        "=1+1.png",
    ),
    *("<b>.png", "%s%n.png", "a" * 200 + ".png", "\udcff.png", ".png.png", "..png", "x.PNG", "~.png", "$(id).png"),
)
_FORMS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "ICO", "PCX", "TGA", "SGI", "MPO")


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many damaged images of each of some formats."""
    for name, (make, bad) in _CONTENTS.items():
        for ending in ("png", "jpg"):
            yield _image(f"{name} as .{ending}", make, bad, f"x.{ending}")
        yield _image(
            f"{name}, skipped", make, None if (bad and "size" in name) or "pixel" in name else False, skip=True
        )
        yield _image(f"{name}, resized", make, None, resize=4)
        yield _image(f"{name}, streamed", make, None, resize=4, stream=True)
    for name in _NAMES:
        yield _image(f"the name {name[:20]!a}", lambda: encoded(), None if name.startswith(".") else False, name)
        yield _image(f"the name {name[:20]!a}, damaged", lambda: b"x", None if name.startswith(".") else True, name)
    for name, place in _PLACES.items():
        yield Case(f"images: {name}", place, bad=True)
    for i in range(number):
        form = random.choice(_FORMS)
        content = mutated_bytes(encoded(form=form), random)
        options = random.choice(({}, {"skip": True}, {"resize": 4}, {"resize": 4, "stream": True}))
        yield _image(f"damaged {i}: {form} {options}", partial(bytes, content), None, **options)


def loaded(**options: object) -> Attack:
    """Load what lies in `data`, and decode it all."""

    def load() -> None:
        from truelift.data import DataOptions, load, resolve_data

        chosen = DataOptions(**{"path": "data", "name": "mine", "validation_fraction": 0.0, **options})  # type: ignore[arg-type]
        splits = load(resolve_data(chosen), split_seed=0)
        if chosen.stream:
            for photographs in (splits.train, splits.test):
                for number in range(len(photographs)):
                    photographs.centre(number)  # type: ignore[union-attr]

    return as_command(load)


def class_folders(folder: Path, images: int = 3) -> Path:
    """Two class folders of sound images in `data`."""
    for name in ("cat", "dog"):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(images):
            (folder / "data" / name / f"{i}.png").write_bytes(encoded())
    return folder / "data"


def _image(
    name: str,
    make: Callable[[], bytes],
    bad: bool | None,
    file: str = "x.png",
    *,
    skip: bool = False,
    resize: int | None = None,
    stream: bool = False,
) -> Case:
    def prepare(folder: Path) -> Attack:
        (class_folders(folder) / "cat" / file).write_bytes(make())
        skipping = {"on_error": "skip"} if skip else {}
        return loaded(**skipping, resize=resize, stream=stream, workers=0 if stream else None)

    return Case(f"images: {name}", prepare, bad)


def _pipe(folder: Path) -> Attack:
    os.mkfifo(class_folders(folder) / "dog" / "x.png")
    return loaded()


def _device(folder: Path) -> Attack:
    (class_folders(folder) / "dog" / "x.png").symlink_to("/dev/zero")
    return loaded()


def _loop(folder: Path) -> Attack:
    (class_folders(folder) / "dog" / "x.png").symlink_to("x.png")
    return loaded()


def _gone(folder: Path) -> Attack:
    (class_folders(folder) / "dog" / "x.png").symlink_to("nothing.png")
    return loaded()


def _folder(folder: Path) -> Attack:
    data = class_folders(folder)
    (data / "dog" / "x.png").mkdir()
    (data / "dog" / "x.png" / "y.png").write_bytes(b"x")
    return loaded()


def _terabyte(folder: Path) -> Attack:
    with (class_folders(folder) / "dog" / "x.png").open("wb") as file:
        file.truncate(1 << 40)
    return loaded()


_PLACES = {
    "a pipe": _pipe,
    "a device": _device,
    "a link to itself": _loop,
    "a link to nothing": _gone,
    "a folder with an ending": _folder,
    "a terabyte of nothing": _terabyte,
}
