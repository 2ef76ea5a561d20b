"""Tar shards: members that lack a partner, that are no files, of impossible sizes; cut off and damaged."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from random import Random

from tests.attack.case import Attack, Case
from tests.attack.images_cases import encoded, loaded
from tests.attack.mutations import mutated_bytes

Members = dict[str, bytes]


def _members(number: int = 12) -> Members:
    found: Members = {}
    for i in range(number):
        found |= {f"{i:03}.png": encoded(), f"{i:03}.cls": str(i % 2).encode()}
    return found


def shard(members: Members, form: int = tarfile.USTAR_FORMAT, mode: str = "w") -> bytes:
    """A tar file of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


@cache
def _sound(form: int = tarfile.USTAR_FORMAT) -> bytes:
    return shard(_members(), form)


def _special(kind: bytes, target: str = "000.png") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in _members().items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        odd = tarfile.TarInfo("zzz.png")
        odd.type, odd.linkname = kind, target
        archive.addfile(odd)
        number = tarfile.TarInfo("zzz.cls")
        number.size = 1
        archive.addfile(number, io.BytesIO(b"1"))
    return buffer.getvalue()


def _sized(size: bytes) -> bytes:
    """The first member's size, as its header has it, with a checksum that fits."""
    content = bytearray(_sound())
    content[124:136] = size.ljust(12, b"\0")[:12]
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    return bytes(content)


def _classed(text: bytes) -> bytes:
    return shard(_members() | {"000.cls": text})


_SHARDS: dict[str, tuple[Callable[[], bytes], bool | None]] = {
    "sound": (_sound, False),
    "pax": (lambda: _sound(tarfile.PAX_FORMAT), False),
    "gnu": (lambda: _sound(tarfile.GNU_FORMAT), False),
    "other members": (lambda: shard(_members() | {"000.json": b"{}", "README": b"x"}), False),
    "nothing": (lambda: b"", True),
    "text": (lambda: b"no tar", True),
    "zeros": (lambda: bytes(10240), True),
    "no member": (lambda: shard({}), True),
    "compressed": (lambda: shard(_members(), mode="w:gz"), True),
    "an image without class": (lambda: shard(_members() | {"x.png": encoded()}), True),
    "a class without image": (lambda: shard(_members() | {"x.cls": b"1"}), True),
    "two images of a key": (lambda: shard(_members() | {"000.jpg": encoded(form="JPEG")}), True),
    "one class": (lambda: shard({k: v if k.endswith("png") else b"0" for k, v in _members().items()}), True),
    "a class as text": (lambda: _classed(b"cat"), True),
    "a class of nothing": (lambda: _classed(b""), True),
    "a class as a fraction": (lambda: _classed(b"1.5"), True),
    "a negative class": (lambda: _classed(b"-1"), True),
    "a class of 10^7": (lambda: _classed(b"10000000"), True),
    "a class of 10^12": (lambda: _classed(b"1" + b"0" * 12), True),
    "a class of many digits": (lambda: _classed(b"1" * 10_000), True),
    "a class of zeros": (lambda: _classed(b"0" * 10_000), True),
    "a class with lines": (lambda: _classed(b"0\n"), False),
    "two classes in one": (lambda: _classed(b"0 1"), True),
    "a class with a sign": (lambda: _classed(b"1_0"), True),
    "a class of other digits": (lambda: _classed("١".encode()), True),
    "a class with zeros": (lambda: _classed(b"\0\0"), True),
    "a damaged image": (lambda: shard(_members() | {"000.png": b"x"}), True),
    "an EPS": (lambda: shard(_members() | {"000.png": b"%!PS-Adobe-3.0 EPSF-3.0\n"}), True),
    "an absolute name": (lambda: shard(_members() | {"/etc/x.png": encoded(), "/etc/x.cls": b"0"}), False),
    "a name that climbs": (lambda: shard(_members() | {"../../x.png": encoded(), "../../x.cls": b"0"}), False),
    "a name that steers": (lambda: shard(_members() | {"\x1b[2J.png": b"x", "\x1b[2J.cls": b"0"}), True),
    "a name of two lines": (lambda: shard(_members() | {"a\nb.png": b"x", "a\nb.cls": b"0"}), True),
    "a hidden image": (lambda: shard(_members() | {".x.png": encoded()}), None),
    "no name": (lambda: shard(_members() | {"": b"x"}), None),
    "a key with a dot": (lambda: shard(_members() | {"a.b.png": encoded(), "a.b.cls": b"1"}), True),
    **{
        f"a {name}": (partial(_special, kind), True)
        for name, kind in {
            "symbolic link": tarfile.SYMTYPE,
            "hard link": tarfile.LNKTYPE,
            "pipe": tarfile.FIFOTYPE,
            "device": tarfile.CHRTYPE,
            "disk": tarfile.BLKTYPE,
            "sparse file": tarfile.GNUTYPE_SPARSE,
        }.items()
    },
    **{
        f"a size of {size!r}": (partial(_sized, size), True)
        for size in (
            *(b"77777777777", b"-0000000001", b"-7777777777", b"99999999999", b"xxxxxxxxxxx", b"\x80" + b"\xff" * 11),
            *(b"\xff" + b"\xff" * 11, b"\xff" * 8 + bytes(4), b"\x80" + bytes(7) + b"\x7f\xff\xff\xff", b"0 0 0 0 0"),
        )
    },
    "no end mark": (lambda: _sound()[: -2 * 512 - (len(_sound()) % 10240)].rstrip(b"\0"), True),
    "two archives": (lambda: _sound() + _sound(), True),
    "text behind the end": (lambda: _sound() + b"more", True),
    "zeros behind the end": (lambda: _sound() + bytes(100_000), False),
}
_NAMES: dict[str, tuple[str, bytes, bool | None]] = {
    "names": ("classes.txt", b"cat\ndog\n", False),
    "too few names": ("classes.txt", b"cat\n", True),
    "names twice": ("classes.txt", b"cat\ncat\n", None),
    "names of other bytes": ("classes.txt", b"\xff\xfe\n", True),
    "no names": ("classes.txt", b"", True),
    "names in JSON": ("classes.json", b'["cat", "dog"]', False),
    "names by number": ("classes.json", b'{"0": "cat", "1": "dog"}', None),
    "names by wrong number": ("classes.json", b'{"0": "cat", "5": "dog"}', None),
    "no JSON": ("classes.json", b"{", True),
    "JSON of numbers": ("classes.json", b"[1, 2]", None),
    "JSON that is deep": ("classes.json", b"[" * 100_000, True),
    "hostile names": ("classes.txt", b"\x1b[2J\n=1+1\n", None),
}
_FILES: tuple[tuple[str, tuple[str, ...], bool | None], ...] = (
    ("splits", ("train.tar", "test.tar"), False),
    ("parts", ("train-000.tar", "train-001.tar"), False),
    ("a split and another", ("train.tar", "other.tar"), True),
    ("test alone", ("test.tar",), True),
    ("too deep", ("a/b/train.tar", "train.tar"), True),
    ("a compressed one beside", ("train.tar", "test.tar.gz"), True),
    ("a parquet file beside", ("train.tar", "test.parquet"), True),
)


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many damaged shards; and a sound one cut off at many places."""
    for name, (make, bad) in _SHARDS.items():
        yield _shard(name, make, bad)
        yield _shard(f"{name}, streamed", make, bad, resize=4, stream=True, workers=0)
        yield _shard(f"{name}, skipped", make, None, on_error="skip")
    for name, (file, content, bad) in _NAMES.items():
        yield _files(name, {"train.tar": _sound(), file: content}, bad)
    for name, files, bad in _FILES:
        yield _files(f"files, {name}", dict.fromkeys(files, _sound()), bad)
    yield Case("shards: a pipe", _pipe, bad=True)
    yield Case("shards: a device", _device, bad=True)
    yield Case("shards: names that are a pipe", _names_pipe, bad=True)
    for cut in range(0, len(_sound().rstrip(b"\0")), 331):
        yield _files(f"cut off at {cut}", {"train.tar": _sound()[:cut]}, True)
    for i in range(number):
        form = random.choice((tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
        content = mutated_bytes(_sound(form), random)
        options = random.choice(({}, {"resize": 4, "stream": True, "workers": 0}, {"on_error": "skip"}))
        yield _files(f"damaged {i}", {"train.tar": content}, None, **options)


def _shard(name: str, make: Callable[[], bytes], bad: bool | None, **options: object) -> Case:
    def prepare(folder: Path) -> Attack:
        (folder / "data").mkdir()
        (folder / "data" / "train.tar").write_bytes(make())
        return loaded(**options)

    return Case(f"shards: {name}", prepare, bad)


def _files(name: str, files: dict[str, bytes], bad: bool | None, **options: object) -> Case:
    def prepare(folder: Path) -> Attack:
        for file, content in files.items():
            (folder / "data" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / file).write_bytes(content)
        return loaded(**options)

    return Case(f"shards: {name}", prepare, bad)


def _pipe(folder: Path) -> Attack:
    (folder / "data").mkdir()
    os.mkfifo(folder / "data" / "train.tar")
    return loaded()


def _device(folder: Path) -> Attack:
    (folder / "data").mkdir()
    (folder / "data" / "train.tar").symlink_to("/dev/zero")
    return loaded()


def _names_pipe(folder: Path) -> Attack:
    (folder / "data").mkdir()
    (folder / "data" / "train.tar").write_bytes(_sound())
    os.mkfifo(folder / "data" / "classes.txt")
    return loaded()
