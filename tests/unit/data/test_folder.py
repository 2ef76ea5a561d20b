from pathlib import Path

import numpy as np
import pytest
from tests.unit.data.image_files import pixels, png, write_folder

from truelift.data.decode import decode
from truelift.data.folder import read_folder
from truelift.errors import InputError


def test_class_folders(tmp_path: Path) -> None:
    write_folder(tmp_path, {"dog": 2, "cat": 3})
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / "._000.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    source = read_folder(tmp_path)
    assert source.classes == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert source.validation is source.test is None
    decoded, labels = decode(source.train, np.array([0, 4]))
    assert decoded[:, 1, 1, 0].tolist() == [2, 1]  # the dogs were written first: 0 and 1
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_split_folders(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path / "train", {"a": 2, "b": 2})
    write_folder(tmp_path / name, {"b": 1})
    write_folder(tmp_path / "test", {"a": 1, "b": 2})
    source = read_folder(tmp_path)
    assert source.validation is not None
    assert source.test is not None
    assert source.validation.labels.tolist() == [1]
    assert source.test.labels.tolist() == [0, 1, 1]


def test_images_of_a_class_at_any_depth(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name / "images").mkdir(parents=True)
        (tmp_path / "train" / name / "images" / "0.JPEG").write_bytes(png(pixels(0)))
    assert read_folder(tmp_path).train.labels.tolist() == [0, 1]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": 2, "b": 2})
    broken = tmp_path / "b" / "000.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(InputError, match=rf"^{broken}: cannot decode the image"):
        decode(read_folder(tmp_path).train, np.arange(4))


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({}, "no image found"),
        ({"a": 0, "b": 0}, "no image found"),
        ({"a": 1, "b": 0}, "class folder without images: .*b"),
        ({"a": 3}, 'at least two classes with training images, got only "a"'),
        ({"train/a": 1, "train/b": 1, "test/c": 1}, 'test/c: class "c" has no folder in the training split'),
        ({"train/a": 1, "train/b": 1, "other/a": 1}, "must name a split .*got .*other"),
        ({"train/a": 1, "train/b": 1, "val/a": 1, "valid/a": 1}, "two folders name the validation split"),
    ],
)
def test_bad_folders(tmp_path: Path, folders: dict[str, int], message: str) -> None:
    write_folder(tmp_path, folders)
    with pytest.raises(InputError, match=message):
        read_folder(tmp_path)
