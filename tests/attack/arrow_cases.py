"""Arrow files: the tables of the parquet files, compressed and empty batches, state.json; cut off and damaged."""

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random

import pyarrow as pa
from tests.attack.case import Attack, Case
from tests.attack.images_cases import class_folders, encoded, loaded
from tests.attack.mutations import mutated_bytes
from tests.attack.parquet_cases import TABLES, table

_ROWS = 12


def _write(made: pa.Table, *, in_place: bool = False, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    chosen = pa.ipc.IpcWriteOptions(allow_64bit=True, **options)
    with (pa.ipc.new_file if in_place else pa.ipc.new_stream)(sink, made.schema, options=chosen) as writer:
        writer.write_table(made, max_chunksize=None if made.num_rows > _ROWS else 5)
    return bytes(sink.getvalue())


@cache
def _sound(in_place: bool = False) -> bytes:
    return _write(table(names=["cat", "dog"]), in_place=in_place)


def _bomb() -> pa.Table:
    """A quarter of a gigabyte beside the images."""
    one = bytes(1 << 26)
    return table(more=pa.DictionaryArray.from_arrays(pa.array([0] * _ROWS), pa.array([one, one + one, one])))


def _grown() -> pa.Table:
    """A dictionary of a million bytes, to which each batch adds a word: read, each has a copy of all of it."""
    words = ["x" * 1_000_000, *map(str, range(2000))]
    first = pa.array(words)
    chunks = [pa.DictionaryArray.from_arrays(pa.array([0]), first[: i + 1]) for i in range(len(words))]
    return pa.table({"image": [encoded()] * len(words), "label": pa.chunked_array(chunks)})


def _nothing(kind: pa.DataType) -> pa.Table:
    """2^40 rows that take no byte."""
    inner = [] if pa.types.is_null(kind) else [pa.array([], kind.value_type)]
    column = pa.Array.from_buffers(kind, 1 << 40, [None], children=inner)
    return pa.table({"image": column, "label": column})


def _footer(whole: bytes) -> int:
    return len(whole) - 10 - int.from_bytes(whole[-10:-6], "little")


def _spliced() -> bytes:
    """A file with three batches whose index names one."""
    one = _write(table(labels=[0, 1]), in_place=True)
    three = _write(table(), in_place=True)
    return three[: _footer(three)] + one[_footer(one) :]


def _second(images: pa.Array, names: tuple[str, ...] = ("image", "label")) -> bytes:
    columns = {"image": images, "label": pa.array([0, 1] * (len(images) // 2))}
    return _write(pa.Table.from_arrays([columns[name] for name in names], names))


_HOSTILE: dict[str, tuple[Callable[[], bytes], bool | None]] = {
    "zstd": (lambda: _write(table(), compression="zstd"), True),
    "lz4": (lambda: _write(table(), compression="lz4"), True),
    "zstd in place": (lambda: _write(table(), compression="zstd", in_place=True), True),
    "many zeros in zstd": (lambda: _write(_bomb(), compression="zstd"), True),
    "a dictionary that grows": (lambda: _write(_grown(), emit_dictionary_deltas=True), True),
    "rows of nothing": (lambda: _write(_nothing(pa.null())), True),
    "rows of nothing in place": (lambda: _write(_nothing(pa.null()), in_place=True), True),
    "lists of nothing": (lambda: _write(_nothing(pa.list_(pa.int64(), 0))), True),
    "another index": (_spliced, True),
    "in place": (lambda: _sound(True), False),
    "a stream in a stream": (lambda: _sound() + _sound(), None),
    "a mark before a stream": (lambda: b"ARROW1\0\0" + _sound(), True),
    "a mark alone": (lambda: b"ARROW1\0\0ARROW1", True),
    "an empty file": (lambda: b"", True),
    "a long message": (lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64), True),
    "zeros": (lambda: bytes(1000), True),
}
_SECOND: dict[str, tuple[Callable[[], bytes], bool]] = {
    "paths alone": (lambda: _second(pa.array([{"path": "x.png"}] * 4)), True),
    "text": (lambda: _second(pa.array(["x.png"] * 4)), True),
    "numbers": (lambda: _second(pa.array(range(4))), True),
    "images twice": (lambda: _second(pa.array([encoded()] * 4), ("image", "image", "label")), True),
    "labels twice": (lambda: _second(pa.array([encoded()] * 4), ("image", "label", "label")), True),
    "no image": (lambda: _second(pa.array([encoded()] * 4), ("label",)), True),
    "plain bytes": (lambda: _second(pa.array([encoded()] * 4)), False),
}
_STATES: dict[str, tuple[object, bool | None]] = {
    "one file": ({"_data_files": [{"filename": "data.arrow"}]}, False),
    "a file that is not there": ({"_data_files": [{"filename": "gone.arrow"}]}, True),
    "a file elsewhere": ({"_data_files": [{"filename": "../../../etc/passwd"}]}, True),
    "a hostile name": ({"_data_files": [{"filename": "\x1b[2J\n"}]}, True),
    "numbers": ({"_data_files": [1]}, True),
    "a list": ([], True),
    "nothing": (None, True),
    "indices": ({"_data_files": [], "_indices_files": [{}]}, True),
}


def cases(random: Random, number: int) -> Iterator[Case]:
    """The tables, then so many damaged files; and the sound one cut off at many places."""
    for name, (make, bad) in TABLES.items():
        yield _files(f"{name}", lambda make=make: {"data.arrow": _write(make())}, bad)  # type: ignore[misc]
        yield _files(
            f"{name}, streamed",
            lambda make=make: {"train/0.arrow": _write(make(), in_place=True)},  # type: ignore[misc]
            bad,
            resize=4,
            stream=True,
            workers=0,
        )
    for name, (content, bad) in _HOSTILE.items():
        yield _files(name, lambda content=content: {"data.arrow": content()}, bad)  # type: ignore[misc]
    plain = _write(table())
    for name, (content, bad) in _SECOND.items():
        yield _files(f"a second file, {name}", lambda c=content: {"a.arrow": plain, "b.arrow": c()}, bad)  # type: ignore[misc]
    for name, (state, bad) in _STATES.items():
        text = json.dumps(state).encode()
        yield _files(f"state, {name}", lambda t=text: {"data.arrow": _sound(), "state.json": t}, bad)  # type: ignore[misc]
    yield _files("state, deep", lambda: {"data.arrow": _sound(), "state.json": b"[" * 100_000}, True)
    yield _files("beside parquet", lambda: {"a.arrow": _sound(), "a.parquet": b"x"}, True)
    yield _files("too deep", lambda: {"a.arrow": _sound(), "b/c/d.arrow": _sound()}, True)
    yield Case("arrow: beside class folders", _beside, bad=False)
    yield Case("arrow: a pipe", _pipe, bad=True)
    yield Case("arrow: a device", _device, bad=True)
    for in_place in (False, True):
        whole = _sound(in_place)
        # A stream may end without its mark, behind any batch.
        for cut in range(0, len(whole), len(whole) // 30):
            yield _files(f"cut off at {cut}, {in_place}", lambda c=whole[:cut]: {"a.arrow": c}, in_place or None)  # type: ignore[misc]
    choices: tuple[dict[str, object], ...] = ({}, {"resize": 4, "stream": True, "workers": 0}, {"on_error": "skip"})
    for i in range(number):
        damaged = mutated_bytes(_sound(random.random() < 0.5), random)
        yield _files(f"damaged {i}", lambda c=damaged: {"a.arrow": c}, None, **random.choice(choices))  # type: ignore[misc]


def _files(name: str, make: Callable[[], dict[str, bytes]], bad: bool | None, **options: object) -> Case:
    def prepare(folder: Path) -> Attack:
        for file, content in make().items():
            (folder / "data" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / file).write_bytes(content)
        return loaded(**options)

    return Case(f"arrow: {name}", prepare, bad)


def _beside(folder: Path) -> Attack:
    class_folders(folder)
    (folder / "data" / "zzz.arrow").write_bytes(b"x")
    return loaded()


def _pipe(folder: Path) -> Attack:
    (folder / "data").mkdir()
    os.mkfifo(folder / "data" / "train.arrow")
    return loaded()


def _device(folder: Path) -> Attack:
    (folder / "data").mkdir()
    (folder / "data" / "train.arrow").symlink_to("/dev/zero")
    return loaded()
