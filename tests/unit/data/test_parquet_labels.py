"""Labels of every kind in parquet files, image files by name, the hub's layouts, test sets without labels."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.image_files import IMAGE_TYPE, metadata, pixels, png, write_classes

from truelift.data import DataOptions, load, load_unlabelled
from truelift.data.columns import ColumnOptions
from truelift.data.decode import decode
from truelift.data.parquet import read_parquet
from truelift.errors import InputError


def write(file: Path, columns: Mapping[str, Any], *, n: int = 4, about: Mapping[str, str] | None = None) -> Path:
    """A file with n images, image i of the value i, and other columns."""
    images = pa.array([{"bytes": png(pixels(i)), "path": f"{i}.png"} for i in range(n)], IMAGE_TYPE)
    table = pa.table({"image": images, **columns})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(about), file, row_group_size=3)
    return file


@pytest.mark.parametrize(
    ("column", "classes", "labels"),
    [
        (pa.array(["dog", "cat", "dog", "ape"]), ("ape", "cat", "dog"), [2, 1, 2, 0]),
        (pa.array(["dog", "cat", "dog", "ape"], pa.large_string()), ("ape", "cat", "dog"), [2, 1, 2, 0]),
        (pa.array(["dog", "cat", "dog", "ape"]).dictionary_encode(), ("ape", "cat", "dog"), [2, 1, 2, 0]),
        (pa.array([5, 1, 0, 1]).dictionary_encode(), ("0", "1", "2", "3", "4", "5"), [5, 1, 0, 1]),
        (pa.array([True, False, False, True]), ("false", "true"), [1, 0, 0, 1]),
        (pa.array([2, 0, 1, 1], pa.uint8()), ("0", "1", "2"), [2, 0, 1, 1]),
    ],
)
def test_kinds_of_labels(tmp_path: Path, column: pa.Array, classes: Sequence[str], labels: list[int]) -> None:
    source = read_parquet(write(tmp_path / "a.parquet", {"label": column}))
    assert (source.classes, source.train.labels.tolist()) == (classes, labels)
    assert decode(source.train, np.array([3]))[0][0, 1, 1, 0] == 3


def test_the_column_of_labels(tmp_path: Path) -> None:
    ids, words, breeds = pa.array([7, 8, 9, 10]), pa.array(["a", "b", "b", "a"]), pa.array(["x", "y", "x", "y"])
    numbers = pa.array([0, 1, 1, 0])
    for columns, classes in (
        ({"id": ids, "label": words, "caption": breeds}, ("a", "b")),  # named
        ({"y": numbers, "class": words}, ("0", "1")),  # of two that are named the integers
        ({"what": words}, ("a", "b")),  # the only one
        ({"number": numbers, "what": words}, ("0", "1")),  # the only integers
        ({"id": ids, "target": numbers}, ("0", "1")),
    ):
        assert read_parquet(write(tmp_path / "a.parquet", columns)).classes == classes
    write(tmp_path / "a.parquet", {"what": words, "which": breeds})
    with pytest.raises(InputError, match=r"more than one label .*: what, which; choose one with --data.label_column"):
        read_parquet(tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet", ColumnOptions(label_column="which")).classes == ("x", "y")


def test_several_labels(tmp_path: Path) -> None:
    lists = pa.array([[0], [1, 2], [], [2]])
    feature = {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["ape", "cat", "dog"]}}
    about = {"huggingface": json.dumps({"info": {"features": {"labels": feature}}})}
    expected = [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]]
    source = read_parquet(write(tmp_path / "a.parquet", {"labels": lists}, about=about))
    assert (source.classes, source.train.labels.tolist()) == (("ape", "cat", "dog"), expected)
    words = pa.array([["ape"], ["cat", "dog"], [], ["dog"]])
    source = read_parquet(write(tmp_path / "a.parquet", {"labels": words}))
    assert (source.classes, source.train.labels.tolist()) == (("ape", "cat", "dog"), expected)
    columns = {name: pa.array([row[i] for row in expected]) for i, name in enumerate(("ape", "cat", "dog"))}
    columns["dog"] = columns["dog"].cast(pa.bool_())
    options = ColumnOptions(label_columns=("ape", "cat", "dog"))
    source = read_parquet(write(tmp_path / "a.parquet", columns), options)
    assert (source.classes, source.train.labels.tolist()) == (("ape", "cat", "dog"), expected)
    write(tmp_path / "a.parquet", {"labels": pa.array([[0], [3], [1], [2]])}, about=about)
    with pytest.raises(InputError, match=r"a.parquet row 1: a label must be in 0..2 \(3 classes\), got 3"):
        read_parquet(tmp_path / "a.parquet")
    write(tmp_path / "a.parquet", {"labels": pa.array([[0], None, [1], [2]])})
    with pytest.raises(InputError, match=r"a.parquet row 1: a label must be given, got none"):
        read_parquet(tmp_path / "a.parquet")


@pytest.mark.parametrize("layout", ["default/{}/0000.parquet", "default/partial-{}/0000.parquet", "{}/0000.parquet"])
def test_layouts_of_the_hub(tmp_path: Path, layout: str) -> None:
    for split, labels in (("train", [0, 1, 1]), ("test", [1, 0])):
        write_classes(tmp_path / layout.format(split), labels)
    source = read_parquet(tmp_path)
    assert source.test is not None
    assert (source.train.labels.tolist(), source.test.labels.tolist()) == ([0, 1, 1], [1, 0])


def test_one_configuration_of_the_hub(tmp_path: Path) -> None:
    for name in ("fine", "coarse"):
        write_classes(tmp_path / name / "train" / "0000.parquet", [0, 1])
    with pytest.raises(InputError, match=r"must hold one configuration, got 2 in .*: coarse, fine; give one of them"):
        read_parquet(tmp_path)
    assert len(read_parquet(tmp_path / "fine").train.labels) == 2


@pytest.mark.parametrize("form", ["text", "path", "bytes and path"])
def test_image_files_by_name(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(pixels(10 * number)))
    # Beside the folder; or deeper, with names from the data set's folder on.
    for file, start in ((tmp_path / "data" / "train.parquet", "images/"), (tmp_path / "train.parquet", "")):
        names = [f"{start}{i}.png" for i in range(5)]
        forms = {
            "text": pa.array(names),
            "path": pa.array([{"path": name} for name in names]),
            "bytes and path": pa.array([{"bytes": None, "path": name} for name in names], IMAGE_TYPE),
        }
        column = "file_name" if form == "text" else "image"
        table = pa.table({column: forms[form], "label": pa.array(["a", "b", "a", "b", "a"])})
        file.parent.mkdir(exist_ok=True)
        pq.write_table(table, file, row_group_size=2)
        source = read_parquet(tmp_path)
        assert source.train.labels.tolist() == [0, 1, 0, 1, 0]
        assert source.train.place(3) == str(folder / "3.png")
        assert decode(source.train, np.arange(5))[0][:, 1, 1, 0].tolist() == [0, 10, 20, 30, 40]
        file.unlink()
    twice = pa.table({column: forms[form].take(pa.array([0, 1, 0])), "label": pa.array(["a", "b", "b"])})
    pq.write_table(twice, tmp_path / "train.parquet")
    with pytest.raises(InputError, match=r"train.parquet row 2: .*0.png must be named once, it is in .* row 0 too"):
        read_parquet(tmp_path)


def test_a_test_set_without_labels(tmp_path: Path) -> None:
    about = metadata(label=["a", "b"])
    write(tmp_path / "train.parquet", {"label": pa.array([0, 1] * 10)}, n=20, about=about)
    for columns in ({}, {"label": pa.array([-1] * 4)}, {"label": pa.array([None] * 4, pa.int64())}):
        write(tmp_path / "test.parquet", columns, about=about if columns else None)
        options = DataOptions(name="x", path=str(tmp_path))
        with pytest.raises(InputError, match=r"test.parquet row 0: the test set has no labels, so that it can be pre"):
            load(options, split_seed=0)
        splits = load(DataOptions(name="x", path=str(tmp_path), unlabelled_test="cut"), split_seed=0)
        assert len(splits.test) == 4  # cut off the twenty
        assert len(load_unlabelled(options).images) == 4
    write(tmp_path / "test.parquet", {"label": pa.array([-1, 0, 1, 1])}, about=about)
    with pytest.raises(InputError, match=r"test.parquet row 0: a label must be in 0..1 \(2 classes\), got -1"):
        load(options, split_seed=0)
    write(tmp_path / "train.parquet", {"label": pa.array(["a", "b"] * 2)})
    write(tmp_path / "test.parquet", {"label": pa.array([None, None, "", None], pa.string())})
    assert load_unlabelled(options).images.labels.tolist() == [-1] * 4
    write(tmp_path / "test.parquet", {"label": pa.array(["a", None, "b", "a"])})
    with pytest.raises(InputError, match=r"test.parquet row 1: a label must be given, got none"):
        load(options, split_seed=0)
    (tmp_path / "test.parquet").unlink()
    write(tmp_path / "train.parquet", {"label": pa.array(["a", "b", None, "a"])})
    with pytest.raises(InputError, match=r"train.parquet row 2: a label must be given, got none"):
        load(options, split_seed=0)
