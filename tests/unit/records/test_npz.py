"""Archives of arrays: what was written comes back, and nothing else is trusted."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelift.errors import InputError
from truelift.records import Features, Predictions, Run
from truelift.records.npz import read_arrays, write_arrays

LABELS = np.arange(5)
GOOD: dict[str, Any] = {"labels": LABELS, "predicted": LABELS[::-1].copy(), "probability": np.full(5, 0.5, np.float32)}


@pytest.mark.parametrize("gaussians", [2, 0])
def test_features_come_back_as_they_were(tmp_path: Path, gaussians: int) -> None:
    run = Run("a", 0, tmp_path)
    assert run.features() is None
    points = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    written = Features(points, np.array([0, 1, 1]), points[:gaussians], points[:gaussians] + 1, ("cat", "Straßenbahn"))
    written.write(tmp_path / "features.npz")
    found = run.features()
    assert found is not None
    for name in ("features", "labels", "means", "variances"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name), strict=True)
    assert found.class_names == ("cat", "Straßenbahn")


@pytest.mark.parametrize("probability", [np.array([0.25, 1, 0], np.float32), np.empty(0, np.float32)])
def test_predictions_come_back_as_they_were(tmp_path: Path, probability: np.ndarray) -> None:
    written = Predictions(np.array([2, 0, 1]), np.array([2, 2, 1]), probability)
    written.write(tmp_path / "predictions.npz")
    found = Predictions.read(tmp_path / "predictions.npz")
    for name in ("labels", "predicted", "probability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name), strict=True)


def test_predictions_of_a_users_program(tmp_path: Path) -> None:
    """Of any width, byte order, layout and version, uncompressed, with arrays of its own beside."""
    path = tmp_path / "predictions.npz"
    column = np.asfortranarray(np.arange(20).reshape(4, 5))
    np.savez(path, labels=LABELS.astype(">u2"), predicted=LABELS.astype(np.int8), probability=np.full(5, 0.5), x=column)
    found = Predictions.read(path)
    np.testing.assert_array_equal(found.labels, LABELS, strict=True)
    np.testing.assert_array_equal(found.probability, np.full(5, 0.5, np.float32), strict=True)
    np.testing.assert_array_equal(read_arrays(path, ("x",))["x"], column, strict=True)
    file = io.BytesIO()
    np.lib.format.write_array(file, LABELS, version=(2, 0))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", file.getvalue())
    np.testing.assert_array_equal(read_arrays(path, ("x",))["x"], LABELS, strict=True)


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def header(shape: str, kind: str = "'<i8'") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def members(path: Path, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            archive.writestr(f"{name}.npy", value)


def without_labels(path: Path) -> None:
    np.savez(path, **{name: array for name, array in GOOD.items() if name != "labels"})


def of_objects(path: Path) -> None:
    trap = np.array([Trap(path.parent / "trap")], dtype=object)
    np.savez(path, **{**GOOD, "labels": trap}, allow_pickle=True)


def of_headers(labels: bytes) -> Callable[[Path], None]:
    return lambda path: members(path, dict.fromkeys(GOOD, labels))


def cut(path: Path) -> None:
    np.savez(path, **GOOD)
    path.write_bytes(path.read_bytes()[:-30])


def flipped(path: Path) -> None:
    np.savez(path, **GOOD)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x93NUMPY") + 130] ^= 1
    path.write_bytes(content)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def many_members(path: Path) -> None:
    members(path, {**dict.fromkeys(GOOD, header("(1,)") + bytes(8)), **{str(k): b"" for k in range(2000)}})


def bomb(path: Path) -> None:
    """Four gigabytes' worth of zeros in small steps would take long to make: 300 MB that take 300 kB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in GOOD:
            with archive.open(f"{name}.npy", "w") as file:
                file.write(header("(12582912,)"))
                for _ in range(96):
                    file.write(bytes(2**20))


DAMAGED: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: path.write_bytes(b""), "it is no npz file"),
    (lambda path: path.write_bytes(b"PK\5\6"), "it is no npz file"),
    (lambda path: path.write_text("my predictions"), "it is no npz file"),
    (lambda path: path.write_bytes(pickle.dumps(GOOD)), "it is no npz file"),
    (lambda path: path.mkdir(), "is no regular file"),
    (lambda path: os.mkfifo(path), "is no regular file"),
    (huge, "more than the 268,435,456 that it may have"),
    (without_labels, "it has no array labels"),
    (of_objects, "the array labels holds Python objects, which are not read"),
    (of_headers(header("(300000000,)")), "another size than its header says"),
    (of_headers(header("(10000000000000000000000,)")), "another size than its header says"),
    (of_headers(header("(-1,)")), "another size than its header says"),
    (of_headers(header("(-1, -1)") + bytes(8)), "another size than its header says"),
    (of_headers(header("(10**9,)")), "it is damaged"),
    (of_headers(header("('a',)")), "it is damaged"),
    (of_headers(header("(1000000,)", "'V0'")), "another size than its header says"),
    (of_headers(header("(" + "(" * 9000)), "it is damaged"),
    (of_headers(b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little")), "it is damaged"),
    (of_headers(b"\x93NUMPY\x09\x00ab"), "it is damaged"),
    (of_headers(b""), "it is damaged"),
    (cut, "it is no npz file"),
    (flipped, "it is damaged"),
    (many_members, "it has more members than it may have"),
    (bomb, "it unpacks to more than the 268,435,456 bytes that it may have"),
    (lambda path: np.savez(path, **{**GOOD, "labels": LABELS[:, None]}), "labels must be whole numbers in one dimen"),
    (lambda path: np.savez(path, **{**GOOD, "labels": LABELS / 2}), "labels must be whole numbers"),
    (lambda path: np.savez(path, **{**GOOD, "labels": LABELS - 1}), "labels must be class numbers from 0, got -1 to 3"),
    (lambda path: np.savez(path, **{**GOOD, "labels": LABELS.astype(np.uint64) + 2**63}), "labels must be class numb"),
    (lambda path: np.savez(path, **{**GOOD, "predicted": LABELS[:3]}), "predicted must have the shape of labels, (5,)"),
    (lambda path: np.savez(path, **{**GOOD, "probability": np.ones(4)}), "probability must have the shape of labels"),
    (lambda path: np.savez(path, **{**GOOD, "probability": np.full(5, np.nan)}), "probability must be finite"),
    (lambda path: np.savez(path, **{**GOOD, "probability": np.full(5, 1e300)}), "probability must be finite"),
    (lambda path: np.savez(path, **{**GOOD, "probability": np.full(5, 2.0)}), "probability must be in [0, 1]"),
    (lambda path: np.savez(path, **{**GOOD, "probability": np.array(["x"] * 5)}), "must be floating-point numbers"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGED)
def test_damaged_predictions_are_a_note(tmp_path: Path, damage: Callable[[Path], Any], reason: str) -> None:
    path = tmp_path / "predictions.npz"
    damage(path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as raised:
            Predictions.read(path)
        assert tracemalloc.get_traced_memory()[1] < 3e7
    finally:
        tracemalloc.stop()
    message = str(raised.value)
    assert reason in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert not (tmp_path / "trap").exists()
    run = Run("a", 0, tmp_path)
    assert run.predictions() is None
    assert run.notes == (message,)


POINTS = np.zeros((3, 2), np.float32)
FEATURES: dict[str, Any] = {
    "features": POINTS,
    "labels": np.array([0, 1, 1]),
    "means": POINTS[:2],
    "variances": POINTS[:2],
    "class_names": np.array(["a", "b"]),
}


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("features", np.zeros((3, 3)), "features must have the shape (3, 2), got (3, 3)"),
        ("features", np.zeros(3), "features must have the shape (3, 2)"),
        ("features", np.zeros((3, 2), int), "features must be floating-point numbers"),
        ("labels", np.array([0, 1, 2]), "labels must be below 2, the number of classes, got 2"),
        ("means", np.zeros((3, 2)), "means must have the shape (2, 2) or (0, 2), got (3, 2)"),
        ("means", np.full((2, 2), np.nan), "means must be finite"),
        ("variances", np.zeros((0, 2)), "variances must have the shape (2, 2), got (0, 2)"),
        ("variances", np.full((2, 2), -1.0), "variances must be at least 0"),
        ("class_names", np.array([1, 2]), "class_names must be texts"),
        ("class_names", np.array(["a", "\ud800"]), "class_names must be Unicode"),
        ("class_names", np.array([0x7FFFFFFF] * 2, np.int32).view("<U1"), "class_names must be Unicode"),
    ],
)
def test_damaged_features(tmp_path: Path, name: str, array: np.ndarray, reason: str) -> None:
    path = tmp_path / "features.npz"
    write_arrays(path, FEATURES)
    Features.read(path)
    write_arrays(path, {**FEATURES, name: array})
    with pytest.raises(InputError) as raised:
        Features.read(path)
    assert reason in str(raised.value)
    assert str(raised.value).startswith(str(path))
