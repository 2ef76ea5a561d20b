"""Options about columns: read in every form of a data set that has columns, refused where there are none."""

import importlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.image_files import pixels, png, write_folder
from tests.unit.data.test_shards import write_tar

from truelift.data import DataOptions
from truelift.data.columns import ColumnOptions
from truelift.data.listing import Source
from truelift.data.loading import find_source
from truelift.data.own_source import read_own
from truelift.errors import InputError

TAGS = ["p", "p|q", "q | r", "r"]
TABLE = [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]]


def read(path: Path, **options: Any) -> Source:
    return find_source(DataOptions(name="mine", path=str(path), **options))


def columns(**labels: list[Any]) -> pa.Table:
    return pa.table({"image": [png(pixels(number)) for number in range(4)], **labels})


def arrow(file: Path, table: pa.Table) -> Path:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return file


def parquet(file: Path, table: pa.Table) -> Path:
    pq.write_table(table, file)
    return file


def samples(**labels: list[Any]) -> dict[str, bytes]:
    members = {f"{number}.png": png(pixels(number)) for number in range(4)}
    for number in range(4):
        members[f"{number}.json"] = json.dumps({name: values[number] for name, values in labels.items()}).encode()
    return members


def test_a_separator_divides_labels_in_every_form(tmp_path: Path) -> None:
    texts = {f"{number}.png": png(pixels(number)) for number in range(4)}
    texts |= {f"{number}.txt": tags.encode() for number, tags in enumerate(TAGS)}
    for path in (
        parquet(tmp_path / "a.parquet", columns(tags=TAGS)),
        parquet(tmp_path / "b.parquet", columns(tags=pa.array(TAGS).dictionary_encode())),
        arrow(tmp_path / "c.arrow", columns(tags=TAGS)),
        write_tar(tmp_path / "d.tar", samples(tags=TAGS)),
        write_tar(tmp_path / "e.tar", texts),
    ):
        source = read(path, label_separator="|")
        assert (source.classes, source.train.labels.tolist()) == (("p", "q", "r"), TABLE)


def test_a_separator_divides_labels_of_a_data_set_of_hugging_face() -> None:
    pytest.importorskip("datasets")
    library = importlib.import_module("datasets")
    images = [{"bytes": png(pixels(number)), "path": None} for number in range(4)]
    kinds = library.Features({"image": library.Image(), "tags": library.Value("string")})
    made = library.Dataset.from_dict({"image": images, "tags": TAGS}, features=kinds)
    source = read_own("mine:data", lambda: made, {}, ColumnOptions(label_separator="|"))
    assert (source.classes, source.train.labels.tolist()) == (("p", "q", "r"), TABLE)


def test_a_separator_needs_text(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a.parquet", columns(label=[0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"label_separator must be left out where labels are no text.*int64"):
        read(file, label_separator="|")


def test_keys_with_0_and_1_in_shards(tmp_path: Path) -> None:
    keys = {name: [row[number] for row in TABLE] for number, name in enumerate("pqr")}
    file = write_tar(tmp_path / "a.tar", samples(label=["x", "y", "x", "y"], **keys))
    source = read(file, label_columns=("q", "r", "p"))
    assert source.classes == ("p", "q", "r")
    assert source.train.labels.tolist() == TABLE
    assert read(file).classes == ("x", "y")


def test_a_key_that_is_wanted_goes_before_cls(tmp_path: Path) -> None:
    members = samples(label=["x", "y", "x", "y"]) | {f"{number}.cls": b"0" if number else b"1" for number in range(4)}
    file = write_tar(tmp_path / "a.tar", members)
    assert read(file).train.labels.tolist() == [1, 0, 0, 0]
    assert read(file, label_column="label").train.labels.tolist() == [0, 1, 0, 1]


def folders(root: Path) -> Path:
    return write_folder(root / "folders", {"a": 2, "b": 2})


def zipped(root: Path) -> Path:
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", png(pixels(number)))
    return root / "a.zip"


def tarred(root: Path) -> Path:
    return write_tar(root / "b.tar", {f"{'ab'[number % 2]}/{number}.png": png(pixels(number)) for number in range(4)})


def shards(root: Path) -> Path:
    return write_tar(root / "c.tar", samples(label=["x", "y", "x", "y"]))


def encoded(root: Path) -> Path:
    return parquet(root / "d.parquet", columns(label=[0, 1, 0, 1]))


def mapped(root: Path) -> Path:
    return arrow(root / "e.arrow", columns(label=[0, 1, 0, 1]))


GIVEN: dict[str, Any] = {
    "image_column": "x",
    "label_column": "x",
    "label_columns": ("x", "y"),
    "label_separator": "|",
    "image_folder": "/nowhere",
}


@pytest.mark.parametrize(
    ("make", "unused"),
    [
        (folders, GIVEN.keys()),
        (zipped, GIVEN.keys()),
        (tarred, GIVEN.keys()),
        (shards, ("image_column", "image_folder")),
        (encoded, ("image_folder",)),
        (mapped, ("image_folder",)),
    ],
)
def test_options_about_columns_are_refused_where_nothing_has_them(
    tmp_path: Path, make: Callable[[Path], Path], unused: list[str]
) -> None:
    path = make(tmp_path)
    read(path)
    for name in unused:
        with pytest.raises(InputError, match=rf"data.{name} must be left out for .*, got"):
            read(path, **{name: GIVEN[name]})
    if make is folders:
        with pytest.raises(InputError, match=r"data.label_column must be left out for class folders, got 'x'"):
            read(path, label_column="x", folders="classes")


def test_options_about_columns_are_refused_without_columns() -> None:
    with pytest.raises(InputError, match=r"data.label_column must be left out for the digits"):
        find_source(DataOptions(label_column="x"))
    with pytest.raises(InputError, match=r"data.label_separator must be left out for images that a function gives"):
        read_own(
            "mine:data",
            lambda: {"train": (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1])},
            {},
            ColumnOptions(label_separator="|"),
        )


def test_options_about_columns_are_refused_for_a_source(tmp_path: Path) -> None:
    source = find_source(DataOptions(name="mine", path=str(folders(tmp_path))))
    assert read_own("mine:data", lambda: source, {}, ColumnOptions()) is source
    for name, value in GIVEN.items():
        with pytest.raises(InputError, match=rf"data.{name} must be left out for a Source that a function gives, got"):
            read_own("mine:data", lambda: source, {}, ColumnOptions(**{name: value}))


def test_the_label_that_a_names_data_set_means_is_no_option(tmp_path: Path) -> None:
    assert find_source(DataOptions(name="cifar100", path=str(folders(tmp_path)))).classes == ("a", "b")


@pytest.mark.parametrize("form", [parquet, arrow])
def test_class_names_beside_files_of_rows(tmp_path: Path, form: Callable[[Path, pa.Table], Path]) -> None:
    file = form(tmp_path / f"train.{form.__name__}", columns(label=[0, 1, 0, 1]))
    assert read(tmp_path).classes == ("0", "1")
    (tmp_path / "classes.txt").write_text("cat\ndog\nowl\n")
    for path in (tmp_path, file):
        assert read(path).classes == ("cat", "dog", "owl")
    about = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["Katze", "Hund"]}}}}
    table = columns(label=[0, 1, 0, 1]).replace_schema_metadata({"huggingface": json.dumps(about)})
    assert read(form(file, table)).classes == ("Katze", "Hund")


def test_a_label_that_two_classes_are_named_by_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("crane\ndog\ncrane\n")
    with pytest.raises(InputError, match='a label must name one class, got "crane", the name of 2; give class numbers'):
        read(parquet(tmp_path / "a.parquet", columns(label=["crane", "dog", "crane", "dog"])))
    assert read(parquet(tmp_path / "a.parquet", columns(label=["0", "1", "2", "1"]))).train.labels.tolist() == [
        0,
        1,
        2,
        1,
    ]
    assert read(parquet(tmp_path / "a.parquet", columns(label=[0, 1, 2, 1]))).classes == ("crane", "dog", "crane")
