"""Parquet files: columns of every wrong type, labels out of range, declared sizes, cut off and damaged."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.attack.case import Attack, Case
from tests.attack.images_cases import encoded, loaded
from tests.attack.mutations import mutated_bytes

_STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_ROWS = 12
_LABELS = [0, 1] * (_ROWS // 2)


def table(
    labels: Sequence[object] = _LABELS,
    kind: pa.DataType | None = None,
    images: Sequence[object] | None = None,
    names: Any = None,
    **others: Any,
) -> pa.Table:
    """Rows of the hub's form."""
    cells = [{"bytes": encoded(), "path": None}] * len(labels) if images is None else list(images)
    columns = {"image": pa.array(cells, _STRUCT), "label": pa.array(labels, kind or pa.int64()), **others}
    made = pa.table(columns)
    if names is not None:
        feature = {"names": names, "_type": "ClassLabel"}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"label": feature}}})})
    return made


def _write(make: Callable[[], pa.Table], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(make(), sink, **options)
    return bytes(sink.getvalue())


@cache
def _sound() -> bytes:
    return _write(lambda: table(names=["cat", "dog"]), row_group_size=5)


def _metadata(text: bytes) -> pa.Table:
    return table().replace_schema_metadata({b"huggingface": text})


_MANY = [0] * 6 + [2**31] * 6
TABLES: dict[str, tuple[Callable[[], pa.Table], bool | None]] = {
    "sound": (lambda: table(names=["cat", "dog"]), False),
    "without names": (lambda: table(), False),
    "small integers": (lambda: table(kind=pa.uint8()), False),
    "plain bytes": (lambda: pa.table({"image": [encoded()] * _ROWS, "label": _LABELS}), False),
    "no row": (lambda: table(labels=[]), True),
    "one row": (lambda: table(labels=[0]), True),
    "one class": (lambda: table(labels=[0] * _ROWS), True),
    "a label that is missing": (lambda: table(labels=[None, *_LABELS[1:]]), True),
    "a negative label": (lambda: table(labels=[-1, *_LABELS[1:]]), True),
    "a label of 10^7": (lambda: table(labels=[10**7, *_LABELS[1:]]), True),
    "labels of 2^31": (lambda: table(labels=_MANY), True),
    "labels of 2^63": (lambda: table(labels=[2**64 - 1, *_LABELS[1:]], kind=pa.uint64()), True),
    "a label beyond the names": (lambda: table(labels=[5, *_LABELS[1:]], names=["cat", "dog"]), True),
    "labels as text": (lambda: table(labels=["a", "b"] * 6, kind=pa.string()), False),
    "labels as fractions": (lambda: table(labels=[0.0, 1.5] * 6, kind=pa.float64()), True),
    "labels as truth": (lambda: table(labels=[True, False] * 6, kind=pa.bool_()), False),
    "labels as lists": (
        lambda: table(labels=[[0], [1]] * 6, kind=pa.list_(pa.int64())),
        False,
    ),  # several labels an image
    "labels as dates": (lambda: table(labels=[0, 1] * 6, kind=pa.date32()), True),
    "labels as decimals": (lambda: table(labels=[0, 1] * 6, kind=pa.decimal128(5)), True),
    "no label": (lambda: table().drop_columns(["label"]), True),
    "no image": (lambda: table().drop_columns(["image"]), True),
    "no column": (lambda: pa.table({"x": pa.array([], pa.int8())}).drop_columns(["x"]), True),
    "two labels": (lambda: table(other=pa.array(_LABELS)), False),
    "two images": (lambda: table(other=pa.array([b"x"] * _ROWS)), True),
    "a column twice": (
        lambda: pa.Table.from_arrays([*table().columns, table().column("label")], ["image", "label", "label"]),
        True,
    ),
    "images as text": (lambda: pa.table({"image": ["x"] * _ROWS, "label": _LABELS}), True),
    "images as numbers": (lambda: pa.table({"image": pa.array(range(_ROWS)), "label": _LABELS}), True),
    "images missing": (lambda: table(images=[None] * _ROWS), True),
    "an image missing": (lambda: table(images=[None, *[{"bytes": encoded(), "path": None}] * (_ROWS - 1)]), True),
    "bytes missing": (lambda: table(images=[{"bytes": None, "path": "/etc/passwd"}] * _ROWS), True),
    "empty bytes": (lambda: table(images=[{"bytes": b"", "path": None}] * _ROWS), True),
    "an EPS": (lambda: table(images=[{"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n", "path": None}] * _ROWS), True),
    "names that are a number": (lambda: table(names=3), True),
    "names that are text": (lambda: table(names="ab"), True),
    "names that are none": (lambda: table(names=[]), True),
    "names of numbers": (lambda: table(names=[1, 2]), None),
    "names twice": (lambda: table(names=["cat", "cat"]), None),
    "hostile names": (lambda: table(names=["<script>", "=1+1\x1b[2J"]), False),
    "names by number": (lambda: table(names={"0": "cat", "1": "dog"}), None),
    "names by wrong numbers": (lambda: table(names={"0": "cat", "7": "dog"}), None),
    "metadata that are none": (lambda: _metadata(b"{"), True),
    "metadata that are a list": (lambda: _metadata(b"[]"), True),
    "metadata that are deep": (lambda: _metadata(b"[" * 100_000), True),
    "metadata of other bytes": (lambda: _metadata(b"\xff\xfe"), True),
    "metadata with a null": (lambda: _metadata(b'{"info": null}'), True),
    "empty names": (lambda: table(names=["", ""]), True),
}
_PLACES: tuple[tuple[str, tuple[str, ...], bool | None], ...] = (
    ("splits", ("train.parquet", "test.parquet"), False),
    ("folders of splits", ("train/0.parquet", "test/0.parquet"), False),
    ("parts", ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet"), False),
    ("two words", ("train-test.parquet", "test.parquet"), True),
    ("a split and another", ("train.parquet", "other.parquet"), True),
    ("test alone", ("test.parquet",), True),
    ("too deep", ("a/b/train.parquet", "train.parquet"), True),
    ("hidden", ("train.parquet", ".test.parquet"), False),
)
_OPTIONS: tuple[dict[str, object], ...] = (
    {"image_column": "nothing"},
    {"label_column": "nothing"},
    {"image_column": "label"},
    {"label_column": "image"},
    {"image_column": ""},
    {"label_column": "\x1b[2J"},
)


def cases(random: Random, number: int) -> Iterator[Case]:
    """The table, then so many damaged files; and the sound one cut off at many places."""
    for name, (make, bad) in TABLES.items():
        for file in ("data", "data/train.parquet"):
            yield _file(f"{name} in {file}", make, bad, file)
        yield _file(f"{name}, streamed", make, bad, resize=4, stream=True, workers=0)
        yield _file(f"{name}, skipped", make, None, on_error="skip")
    for name, files, bad in _PLACES:
        yield _files(f"files, {name}", {file: _sound() for file in files}, bad)
    for options in _OPTIONS:
        yield _files(f"options {options!a}", {"train.parquet": _sound()}, True, **options)
    yield _files("no parquet", {"train.parquet": b"x"}, True)
    yield _files("an empty file", {"train.parquet": b""}, True)
    yield _files("a mark alone", {"train.parquet": b"PAR1PAR1"}, True)
    yield _files("a long footer", {"train.parquet": b"PAR1" + bytes(20) + b"\xff\xff\xff\x7fPAR1"}, True)
    yield _files("encrypted", {"train.parquet": b"PARE" + bytes(40) + b"PARE"}, True)
    yield _files("the same names in two files, other order", _other_order(), True)
    yield _files("a test class that training lacks", _third_class(), True)
    yield Case("parquet: a pipe", _pipe, bad=True)
    yield Case("parquet: a device", _device, bad=True)
    for cut in range(0, len(_sound()), max(1, len(_sound()) // 60)):
        yield _files(f"cut off at {cut}", {"train.parquet": _sound()[:cut]}, True)
    choices: tuple[dict[str, object], ...] = ({}, {"resize": 4, "stream": True, "workers": 0}, {"on_error": "skip"})
    for i in range(number):
        form = random.choice(("none", "snappy", "zstd", "gzip"))
        content = mutated_bytes(_compressed(form), random)
        options = random.choice(choices)
        yield _files(f"damaged {i}, {form}", {"train.parquet": content}, None, **options)


@cache
def _compressed(form: str) -> bytes:
    return _write(lambda: table(names=["cat", "dog"]), row_group_size=5, compression=form)


def _other_order() -> dict[str, bytes]:
    turned = _write(lambda: table(names=["dog", "cat"]))
    return {"train.parquet": _sound(), "test.parquet": turned}


def _third_class() -> dict[str, bytes]:
    names = ["cat", "dog", "bird"]
    return {
        "train.parquet": _write(lambda: table(names=names)),
        "test.parquet": _write(lambda: table(labels=[2, 1] * 6, names=names)),
    }


def _file(name: str, make: Callable[[], pa.Table], bad: bool | None, file: str = "data", **options: object) -> Case:
    def prepare(folder: Path) -> Attack:
        place = folder / (file if "/" in file else "data.parquet")
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(_write(make))
        path = "data" if "/" in file else "data.parquet"
        return loaded(**{"path": path, **options})

    return Case(f"parquet: {name}", prepare, bad)


def _files(name: str, files: dict[str, bytes], bad: bool | None, **options: object) -> Case:
    def prepare(folder: Path) -> Attack:
        for file, content in files.items():
            (folder / "data" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / file).write_bytes(content)
        return loaded(**options)

    return Case(f"parquet: {name}", prepare, bad)


def _pipe(folder: Path) -> Attack:
    (folder / "data").mkdir()
    os.mkfifo(folder / "data" / "train.parquet")
    return loaded()


def _device(folder: Path) -> Attack:
    (folder / "data").mkdir()
    (folder / "data" / "train.parquet").symlink_to("/dev/zero")
    return loaded()
