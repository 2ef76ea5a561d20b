"""Records of a finished study: each file damaged in every way, and the report made again."""

import atexit
import functools
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import numpy as np
from tests.attack.case import Attack, Case, command
from tests.attack.mutations import mutated_bytes

VALUES: tuple[bytes, ...] = (
    *(
        b"null",
        b"0",
        b"-1",
        b"1e999",
        b"NaN",
        b"-Infinity",
        b'""',
        b'"x"',
        b"[]",
        b"{}",
        b"true",
        b"[[[]]]",
        b'{"a": 1}',
    ),
    *(b"1" + b"0" * 400, b'"\\ud800"', b'"\\u0000"', b'"\\u001b[2J"', b'"../../x"', b'"/etc/passwd"', b'"<script>"'),
)
_RUN = "runs/plain/seed-0-00000000"
_JSON = ("study.json", f"{_RUN}/result.json", f"{_RUN}/environment.json")
_OTHERS = (f"{_RUN}/metrics.jsonl", f"{_RUN}/predictions.npz", f"{_RUN}/config.toml", f"{_RUN}/features.npz")


@functools.cache
def _study() -> Path:
    """A finished study of two variants and three seeds, made once a process."""
    from truelift.records import Features, Predictions, write_json, write_text

    folder = Path(mkdtemp(prefix="attack-study-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    runs = []
    for variant in ("plain", "other"):
        for seed in range(3):
            place = f"runs/{variant}/seed-{seed}-00000000"
            runs.append({"variant": variant, "seed": seed, "folder": place})
            run = folder / place
            value = 90 + seed + (variant == "other")
            write_json(
                run / "result.json",
                {"metrics": {"test_accuracy": value, "test_error": 100 - value, "train_seconds": 1.5 + seed}},
            )
            write_json(run / "environment.json", {"torch": "2", "device": "cpu", "threads": 1, "commit": "a"})
            lines = [{"kind": "train", "step": step, "train_loss": 1 / step} for step in range(1, 20)]
            write_text(run / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
            write_text(run / "config.toml", f"seed = {seed}\n")
            labels = np.arange(40) % 4
            Predictions(labels, labels, np.full(40, 0.5, np.float32)).write(run / "predictions.npz")
            points = np.zeros((40, 2), np.float32)
            none = np.zeros((0, 2), np.float32)
            Features(points, labels, none, none, ("a", "b", "c", "d")).write(run / "features.npz")
    plan = {
        "name": "made",
        "question": "Which?",
        "metric": "test_accuracy",
        "unit": "points",
        "higher_is_better": True,
        "relative": False,
        "smallest_effect": 0.5,
        "baseline": "plain",
        "seeds": [0, 1, 2],
        "variants": {name: {"settings": {"epochs": 1}, "command": None} for name in ("plain", "other")},
        "shared": {"epochs": 3},
        "runs": runs,
        "repeat": "truelift study made.toml",
        "created": "2026-01-01T00:00:00+00:00",
        "scale": None,
        "published": {"plain": [{"value": 91.0, "source": "a paper", "runs": 1, "sd": None}]},
        "changed": ["epochs"],
    }
    write_json(folder / "study.json", plan)
    return folder


def copy_study(folder: Path) -> None:
    """A finished study, copied into a new folder."""
    shutil.copytree(_study(), folder)


def cases(random: Random, number: int) -> Iterator[Case]:
    """Each record as something else, each value of each JSON record as another, then so many damaged files."""
    yield Case("records: sound", functools.partial(_report, change=lambda folder: None), bad=False)
    for name in (*_JSON, *_OTHERS):
        for told, change in CHANGES.items():
            yield _case(f"{name} is {told}", name, change)
    for name in _JSON:
        content = json.loads((_study() / name).read_text())
        for path in places(content):
            for value in VALUES:
                yield _case(
                    f"{name} {path} = {value[:20]!r}", name, functools.partial(change_value, keys=path, value=value)
                )
            yield _case(f"{name} without {path}", name, functools.partial(change_value, keys=path, value=None))
    for value in VALUES:
        line = b'{"kind": "train", "step": ' + value + b', "train_loss": ' + value + b"}\n"
        yield _case(f"a line of metrics with {value[:20]!r}", _OTHERS[0], functools.partial(_append, content=line))
    for told, arrays in _ARRAYS.items():
        yield _case(f"predictions, {told}", _OTHERS[1], functools.partial(_archive, arrays=arrays))
        yield _case(f"features, {told}", _OTHERS[3], functools.partial(_archive, arrays=arrays))
    for i in range(number):
        name = random.choice((*_JSON, *_OTHERS))
        content = mutated_bytes((_study() / name).read_bytes(), random)
        yield _case(f"damaged {i}: {name}", name, functools.partial(write_bytes, content=content))


def _case(name: str, file: str, change: Callable[[Path], object]) -> Case:
    def prepare(folder: Path) -> Attack:
        return _report(folder, lambda study: change(study / file))

    return Case(f"records: {name}", prepare)


def _report(folder: Path, change: Callable[[Path], object]) -> Attack:
    shutil.copytree(_study(), folder / "study")
    change(folder / "study")
    return command("report", "study")


def write_bytes(path: Path, content: bytes) -> None:
    """Other content."""
    path.write_bytes(content)


def _append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def change_value(path: Path, *, keys: tuple[Any, ...], value: bytes | None) -> None:
    """Another value at a place in a JSON file, given as bytes since Python cannot say all of them; None: no value."""
    content = json.loads(path.read_text())
    holder = content
    for key in keys[:-1]:
        holder = holder[key]
    if value is None:
        del holder[keys[-1]]
        path.write_text(json.dumps(content))
        return
    holder[keys[-1]] = "@here@"
    path.write_bytes(json.dumps(content).encode().replace(b'"@here@"', value))


def places(content: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in a JSON value; of a list the first alone."""
    items = content.items() if isinstance(content, dict) else list(enumerate(content))[:1]
    for key, value in items:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))


def _gone(path: Path) -> None:
    path.unlink()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _a_terabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _twice(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


CHANGES: dict[str, Callable[[Path], None]] = {
    "gone": _gone,
    "a folder": _a_folder,
    "a pipe": _a_pipe,
    "a device": _a_device,
    "a link to itself": _a_loop,
    "a terabyte": _a_terabyte,
    "half": _half,
    "twice": _twice,
    "empty": functools.partial(write_bytes, content=b""),
    "blank lines": functools.partial(write_bytes, content=b"\n\n\n"),
    "zeros": functools.partial(write_bytes, content=bytes(1000)),
    "other bytes": functools.partial(write_bytes, content=b"\xff\xfe\xfd"),
    "UTF-16": functools.partial(write_bytes, content="{}".encode("utf-16")),
    "deep": functools.partial(write_bytes, content=b"[" * 100_000),
    "deep tables": functools.partial(write_bytes, content=b'{"a":' * 50_000),
    "a list": functools.partial(write_bytes, content=b"[]"),
    "a number": functools.partial(write_bytes, content=b"3"),
    "null": functools.partial(write_bytes, content=b"null"),
    "no keys": functools.partial(write_bytes, content=b"{}"),
    "a pickle": functools.partial(write_bytes, content=b"cos\nsystem\n(S'touch /tmp/attack-has-run'\ntR."),
    "a long line": functools.partial(write_bytes, content=b"x" * 10_000_000),
}


def _archive(path: Path, arrays: Callable[[], bytes]) -> None:
    path.write_bytes(arrays())


def _npz(**arrays: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    return make


def _bomb() -> bytes:
    """A member of 100 MB that claims a terabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("labels", "predicted", "probability", "features", "means", "variances", "classes"):
            header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (137438953472,), }"
            padded = header.ljust(118) + b"\n"
            start = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded
            archive.writestr(f"{name}.npy", start + bytes(20_000_000))
    return buffer.getvalue()


_N = np.arange(40)
_ARRAYS: dict[str, Callable[[], bytes]] = {
    "no array": _npz(),
    "objects": _npz(labels=np.array([{}], object), predicted=_N, probability=_N, features=np.array([{}], object)),
    "text": _npz(labels=np.array(["a"]), predicted=np.array(["a"]), probability=np.array(["a"])),
    "other lengths": _npz(labels=_N, predicted=_N[:3], probability=_N[:2] * 0.1),
    "two axes": _npz(labels=_N.reshape(4, 10), predicted=_N.reshape(4, 10), probability=_N.reshape(4, 10) * 0.01),
    "no axis": _npz(labels=np.int64(3), predicted=np.int64(3), probability=np.float32(0.1)),
    "not finite": _npz(labels=_N % 4, predicted=_N % 4, probability=np.full(40, np.nan, np.float32)),
    "negative": _npz(labels=-_N, predicted=-_N, probability=-_N * 0.1),
    "large": _npz(labels=_N + 2**62, predicted=_N + 2**62, probability=_N * 1e300),
    "complex": _npz(labels=_N + 1j, predicted=_N + 1j, probability=_N + 1j),
    "a bomb": _bomb,
}
