import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.image_files import pixels, png, write_classes, write_parquet

from truelift.data import DataOptions, load, parquet
from truelift.data.columns import ColumnOptions
from truelift.data.decode import decode
from truelift.data.listing import Listing
from truelift.data.parquet import read_parquet
from truelift.errors import InputError

LABELS = [0, 1, 0, 1, 1, 0, 1]


def values(listing: Listing, indices: list[int]) -> list[int]:
    return [int(image[1, 1, 0]) for image in decode(listing, np.array(indices))[0]]


@pytest.mark.parametrize("plain", [True, False])
def test_one_file(tmp_path: Path, plain: bool) -> None:
    images = [png(pixels(10 * i)) for i in range(7)]
    file = write_parquet(tmp_path / "test.parquet", images, {"y": LABELS}, names={"y": ["cat", "dog"]}, plain=plain)
    source = read_parquet(file)
    assert source.classes == ("cat", "dog")
    assert source.train.labels.tolist() == LABELS
    assert source.validation is source.test is None  # its name is no matter
    assert values(source.train, [0, 1, 2, 4, 6]) == [0, 10, 20, 40, 60]  # over three row groups


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train-00000-of-00001.parquet", "valid-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("data/train-00000-of-00001-1359597a978bc4fa.parquet", "data/val.parquet", "data/testing_1.parquet"),
        ("train/0.parquet", "validation/0.parquet", "eval/0.parquet"),
        ("data/training.parquet", "data/dev.parquet", "test/0.parquet"),
    ],
)
def test_files_are_matched_to_splits(tmp_path: Path, train: str, validation: str, test: str) -> None:
    for i, name in enumerate((train, validation, test)):
        write_classes(tmp_path / name, [0, 1, *[i % 2] * i])
    source = read_parquet(tmp_path)
    assert source.validation is not None
    assert source.test is not None
    assert [len(x.labels) for x in (source.train, source.validation, source.test)] == [2, 3, 4]


def test_shards_are_joined_in_order(tmp_path: Path) -> None:
    write_classes(tmp_path / "train-00000-of-00002.parquet", LABELS)
    write_classes(tmp_path / "train-00001-of-00002.parquet", [1, 0])
    source = read_parquet(tmp_path)
    assert source.train.labels.tolist() == [*LABELS, 1, 0]
    assert values(source.train, [5, 6, 7, 8]) == [5, 6, 0, 1]
    assert source.train.place(8) == f"{tmp_path / 'train-00001-of-00002.parquet'} row 1"


def test_single_images_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(tmp_path / "train-00000-of-00002.parquet", LABELS)
    write_classes(tmp_path / "train-00001-of-00002.parquet", [1, 0])
    for kept_bytes in (1 << 28, 0):  # all row groups, or the last one alone
        monkeypatch.setattr(parquet, "_KEPT_BYTES", kept_bytes)
        train = read_parquet(tmp_path).train
        found = []
        for index in (8, 0, 7, 6, 3, 8):
            with train.opener(index)() as image:
                found.append(int(np.asarray(image)[1, 1, 0]))
        assert found == [1, 0, 0, 6, 3, 1]


def test_files_without_split_words_are_training(tmp_path: Path) -> None:
    write_classes(tmp_path / "contest.parquet", [0, 1])  # no word of its own, as "test" is not delimited
    assert read_parquet(tmp_path).train.labels.tolist() == [0, 1]


def test_without_names_classes_are_numbers(tmp_path: Path) -> None:
    assert read_parquet(write_classes(tmp_path / "a.parquet", [0, 2, 2], names=None)).classes == ("0", "1", "2")


def test_columns_found_or_chosen(tmp_path: Path) -> None:
    images = [png(pixels(i)) for i in range(2)]
    labels = {"fine_label": [0, 1], "coarse_label": [1, 0], "id": [8, 9]}
    names = {"fine_label": ["a", "b"], "coarse_label": ["c", "d"]}
    file = write_parquet(tmp_path / "a.parquet", images, labels, names=names)
    with pytest.raises(InputError, match=r"more than one label .*: fine_label, coarse_label; .*--data.label_column"):
        read_parquet(file)
    assert read_parquet(file, ColumnOptions(label_column="coarse_label")).train.labels.tolist() == [1, 0]
    assert read_parquet(file, ColumnOptions(label_column="coarse_label")).classes == ("c", "d")
    with pytest.raises(InputError, match=r'data.label_column must be a column .*\(image, .*got "fine"'):
        read_parquet(file, ColumnOptions(label_column="fine"))
    with pytest.raises(InputError, match=r'data.label_column must name integers, text .*, got "image" of type struct'):
        read_parquet(file, ColumnOptions(label_column="image"))
    with pytest.raises(InputError, match=r'data.image_column must name encoded images .*got "id" of type int64'):
        read_parquet(file, ColumnOptions(image_column="id", label_column="fine_label"))


def test_class_label_wins_over_other_integers(tmp_path: Path) -> None:
    images = [png(pixels(i)) for i in range(2)]
    file = write_parquet(tmp_path / "a.parquet", images, {"id": [8, 9], "y": [0, 1]}, names={"y": ["a", "b"]})
    assert read_parquet(file).train.labels.tolist() == [0, 1]


def test_no_such_columns(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", [b"", b""], {})
    with pytest.raises(InputError, match=r"no label .* column among image; name it with --data.label_column"):
        read_parquet(file)


def test_unreadable_files(tmp_path: Path) -> None:
    whole = write_classes(tmp_path / "a.parquet", LABELS).read_bytes()
    file = tmp_path / "train.parquet"
    for content in (whole[: len(whole) // 2], b"", b"text"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^cannot read {file} as parquet: .+") as caught:
            read_parquet(file)
        assert "\n" not in str(caught.value)


def test_damaged_pages_name_the_file(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", [bytes(range(256)) * 20] * 7, {"y": LABELS}, names={"y": ["a", "b"]})
    source = read_parquet(file)
    content = bytearray(file.read_bytes())
    content[4:400] = b"\xff" * 396  # the first pages; the footer stays whole
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot read {file} as parquet"):
        decode(source.train, np.arange(7))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, -1], r"row 2: a label must be in 0..1 \(2 classes\), got -1"),
        ([0, 2, 1], r"row 1: a label must be in 0..1 \(2 classes\), got 2"),
        ([0, 1, None], r'row 2: a label must be an integer, got null in "label"'),
        ([1, 1, 1], 'at least two classes with training images, got only "dog"'),
        ([], "at least two classes with training images, got none"),
    ],
)
def test_wrong_labels(tmp_path: Path, labels: list[int | None], message: str) -> None:
    names = {"label": ["cat", "dog"]}
    file = write_parquet(tmp_path / "a.parquet", [b""] * len(labels), {"label": labels}, names=names)
    with pytest.raises(InputError, match=message):
        read_parquet(file)


def test_wrong_labels_without_names(tmp_path: Path) -> None:
    write_classes(tmp_path / "train.parquet", [0, 1], names=None)
    write_classes(tmp_path / "test.parquet", [0, 5], names=None)
    with pytest.raises(InputError, match=r"test.parquet row 1: a label must be in 0..1 \(2 classes\), got 5"):
        read_parquet(tmp_path)
    with pytest.raises(InputError, match=r"row 1: a label must be in 0..99999 .*got 100000000000"):
        read_parquet(write_classes(tmp_path / "ids.parquet", [0, 10**11], names=None))


def test_a_class_that_training_lacks(tmp_path: Path) -> None:
    write_classes(tmp_path / "train.parquet", [0, 1], names=["a", "b", "c"])
    write_classes(tmp_path / "test.parquet", [0, 2], names=["a", "b", "c"])
    with pytest.raises(InputError, match=r'test.parquet row 1: the test class "c" has no training image'):
        read_parquet(tmp_path)


def test_splits_that_name_classes_differently(tmp_path: Path) -> None:
    write_classes(tmp_path / "train.parquet", [0, 1])
    write_classes(tmp_path / "test.parquet", [0, 1], names=["dog", "cat"])
    with pytest.raises(InputError, match=r'test.parquet and .*train.parquet name the classes of "label" differently'):
        read_parquet(tmp_path)


def test_a_split_without_the_column(tmp_path: Path) -> None:
    write_classes(tmp_path / "train.parquet", [0, 1])
    write_parquet(tmp_path / "test.parquet", [b""], {"label": [0]}, image_column="img")
    with pytest.raises(InputError, match=r'test.parquet has no column "image" as .*its columns: img, label'):
        read_parquet(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train.parquet", "extra.parquet"], "must name its split too, got .*extra.parquet"),
        (["test.parquet", "valid.parquet"], "no file is named for the training split .*: test.parquet, valid.parquet"),
        (["train-test.parquet"], "must tell one split, got test, train in .*train-test.parquet"),
    ],
)
def test_files_that_cannot_be_matched(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        write_classes(tmp_path / name, [0, 1])
    with pytest.raises(InputError, match=message):
        read_parquet(tmp_path)


def test_an_image_without_bytes_names_its_row(tmp_path: Path) -> None:
    images = [png(pixels(1)), None]
    file = write_parquet(tmp_path / "a.parquet", images, {"y": [0, 1]}, names={"y": ["a", "b"]})
    with pytest.raises(InputError, match=rf"^{file} row 1: cannot decode the image \(the row holds no image bytes\)"):
        decode(read_parquet(file).train, np.arange(2))


def test_rows_that_are_only_declared_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 300_000  # of one image and one label, which parquet keeps once
    image = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([png(pixels(0))], pa.binary()))
    table = pa.table({"image": image.cast(pa.binary()), "label": pa.array(np.zeros(n, np.int64))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=n)
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    monkeypatch.setattr(parquet, "number_rows", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(InputError, match=r"a.parquet as parquet: 300000 rows are declared in \d+ bytes"):
        read_parquet(tmp_path / "a.parquet")


def test_a_part_that_is_only_declared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_LARGEST_PART", 1 << 20)
    table = pa.table({"image": pa.array([bytes(1 << 21), b""], pa.binary()), "label": pa.array([0, 1])})
    pq.write_table(table, tmp_path / "a.parquet", compression="gzip")
    with pytest.raises(InputError, match=r"a part of 2097\d+ bytes is declared in \d+ bytes"):
        read_parquet(tmp_path / "a.parquet")


def test_class_names_by_number_and_metadata_that_is_none(tmp_path: Path) -> None:
    file = write_classes(tmp_path / "a.parquet", [0, 1, 1])
    table = pq.read_table(file)
    features = {"label": {"_type": "ClassLabel", "names": {"1": "dog", "0": "cat"}}}
    for metadata, expected in (
        (json.dumps({"info": {"features": features}}), ("cat", "dog")),
        ("{", "the class names of .label. cannot be read"),
        ('{"info": 3}', "the class names of .label. cannot be read"),
        ("[1]", "the class names of .label. cannot be read"),
    ):
        pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), file)
        if isinstance(expected, tuple):
            assert read_parquet(file).classes == expected
        else:
            with pytest.raises(InputError, match=expected):
                read_parquet(file)


def test_hidden_and_mixed_files(tmp_path: Path) -> None:
    write_classes(tmp_path / "data" / "train.parquet", [0, 1, 1])
    for hidden in ("._train.parquet", ".cache/test.parquet", "__MACOSX/test.parquet"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"none")
    assert read_parquet(tmp_path).train.labels.tolist() == [0, 1, 1]
    (tmp_path / "train.tar").write_bytes(b"")
    with pytest.raises(InputError, match=r"data.path must hold parquet files or shards, not both"):
        load(DataOptions(name="x", path=str(tmp_path)), split_seed=0)
