"""The state of a data set changes with what it holds, and not with where it lies."""

import shutil
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.unit.data.image_files import pixels, png

from truelift.data import DataOptions, load
from truelift.data.columns import ColumnOptions
from truelift.data.digest import DataState, of_arrays, of_files, state_of
from truelift.data.loading import find_source
from truelift.data.own_source import read_own


def class_folders(root: Path) -> None:
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            (root / name / f"{number}.png").write_bytes(png(pixels(20 * number)))


def parquet(root: Path) -> None:
    root.mkdir(parents=True)
    images = [png(pixels(20 * number)) for number in range(12)]
    table = pa.table(
        {"image": pa.array(images, pa.binary()), "label": pa.array([n % 2 for n in range(12)], pa.int64())}
    )
    pq.write_table(table, root / "train.parquet")


def shards(root: Path) -> None:
    root.mkdir(parents=True)
    with tarfile.open(root / "train-0.tar", "w") as archive:
        for number in range(12):
            for ending, content in (("png", png(pixels(20 * number))), ("cls", str(number % 2).encode())):
                member = tarfile.TarInfo(f"{number}.{ending}")
                member.size = len(content)
                archive.addfile(member, BytesIO(content))


def state(root: Path) -> DataState:
    return state_of(find_source(DataOptions(name="mine", path=str(root))))


@pytest.mark.parametrize("make", [class_folders, parquet, shards])
def test_the_same_data_elsewhere_is_the_same(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "deeper" / "b")
    found = state(tmp_path / "a")
    assert found == state(tmp_path / "deeper" / "b")
    assert found.images == {"train": 12}
    assert (found.classes, found.left_out, len(found.digest)) == (2, 0, 16)


CHANGES: dict[str, Callable[[Path], object]] = {
    "one image less": lambda root: (root / "ant" / "3.png").unlink(),
    "one more": lambda root: shutil.copyfile(root / "ant" / "3.png", root / "ant" / "6.png"),
    "another name": lambda root: (root / "ant" / "3.png").rename(root / "ant" / "7.png"),
    "another label": lambda root: (root / "ant" / "3.png").rename(root / "bee" / "7.png"),
    "another class": lambda root: (root / "ant").rename(root / "asp"),
    "cut": lambda root: (root / "ant" / "3.png").write_bytes((root / "ant" / "3.png").read_bytes()[:-1]),
    "other pixels, same size": lambda root: (root / "ant" / "3.png").write_bytes(
        bytes(reversed((root / "ant" / "3.png").read_bytes()))
    ),
    "a stray image": lambda root: shutil.copyfile(root / "ant" / "3.png", root / "3.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(tmp_path: Path, change: str) -> None:
    class_folders(tmp_path)
    before = state(tmp_path)
    CHANGES[change](tmp_path)
    assert state(tmp_path).digest != before.digest


def test_rows_and_members_that_change_show(tmp_path: Path) -> None:
    parquet(tmp_path / "a")
    shards(tmp_path / "b")
    before = [state(tmp_path / name).digest for name in "ab"]
    table = pq.read_table(tmp_path / "a" / "train.parquet")
    pq.write_table(table.slice(0, 11), tmp_path / "a" / "train.parquet")
    with tarfile.open(tmp_path / "b" / "train-1.tar", "w") as archive:
        archive.add(tmp_path / "a" / "train.parquet", "notes.txt")
    assert all(state(tmp_path / name).digest != old for name, old in zip("ab", before, strict=True))


def test_a_set_of_ones_own_is_told_by_its_values(tmp_path: Path) -> None:
    def digest(images: Any, labels: Any) -> str:
        return state_of(read_own("mine:give", lambda: {"train": (images, labels)}, {}, ColumnOptions())).digest

    images, labels = np.zeros((8, 4, 4), np.uint8), np.arange(8) % 2
    found = [
        digest(images, labels)
        for images, labels in ((images, labels), (images.copy(), labels), (images + 1, labels), (images, labels[::-1]))
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    files = [str(tmp_path / "a.png")] * 8
    first = digest(files, labels)
    Image.fromarray(images[0] + 1).save(tmp_path / "a.png")
    assert digest(files, labels) != first


def test_splits_know_it_whatever_the_seed(tmp_path: Path) -> None:
    digits = [load(DataOptions(train_images=count), split_seed=seed).state for seed, count in ((0, 100), (1, 200))]
    assert digits[0] is not None
    assert digits[0] == digits[1]
    assert digits[0].images == {"train": 1797}


def test_large_arrays_are_looked_at_in_part() -> None:
    image = np.zeros((1, 2**14), np.uint8)
    many = [np.broadcast_to(image, (2**12, 2**14))] * 8  # 512 MiB to the eye, none in memory
    assert of_arrays(many) == of_arrays([*many[:1], many[0] + 1, *many[2:]])
    assert of_arrays(many) != of_arrays([many[0] + 1, *many[1:]])
    assert of_files([]) != of_files(["/nothing"])
