"""A column that tells each image's split: the same in every form of a data set."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.image_files import pixels, png
from tests.unit.data.test_shards import write_tar

from truelift.data import DataOptions
from truelift.data.columns import ColumnOptions
from truelift.data.decode import decode
from truelift.data.digest import state_of
from truelift.data.listing import Listing, Source
from truelift.data.loading import find_source
from truelift.data.own_source import read_own
from truelift.data.parquet_rows import _words
from truelift.errors import InputError

LABELS = ("cat", "dog", "cat", "dog", "dog", "cat", "cat", "dog")
SPLITS = ("train", "test", "Train", "val", "train", "train", "test", "train")
ENDINGS = {"names": "parquet", "shard": "tar"}
FORMS = ("csv", "jsonl", "names", "parquet", "arrow", "shard", "datasets")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def write(
    folder: Path,
    form: str,
    stem: str,
    splits: Sequence[object],
    first: int = 0,
    column: str = "split",
    **others: Sequence[object] | None,
) -> Path:
    """Images of the values first, first + 1, …, with their labels, what the column says, and what others say."""
    numbers = range(first, first + len(splits))
    encoded, files = [png(pixels(number)) for number in numbers], [f"{number}.png" for number in numbers]
    every = {"label": [LABELS[number] for number in numbers], column: [*splits], **others}
    columns = {name: values for name, values in every.items() if values is not None}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if form in ("csv", "jsonl", "names"):
        folder.mkdir(exist_ok=True)
        for file, content in zip(files, encoded, strict=True):
            (folder / file).write_bytes(content)
    written = folder / f"{stem}.{ENDINGS.get(form, form)}"
    if form == "csv":
        lines = [",".join(map(str, (file, *row.values()))) for file, row in zip(files, rows, strict=True)]
        written.write_text("\n".join([",".join(("image", *columns)), *lines]) + "\n")
    elif form == "jsonl":
        objects = [{"image": file, **row} for file, row in zip(files, rows, strict=True)]
        written.write_text("".join(json.dumps(one) + "\n" for one in objects))
    elif form == "shard":
        members = zip(numbers, encoded, rows, strict=True)
        pairs = ({f"{i}.png": image, f"{i}.json": json.dumps(row).encode()} for i, image, row in members)
        write_tar(written, {name: content for pair in pairs for name, content in pair.items()})
    else:
        table = pa.table({"image": files if form == "names" else encoded, **columns})
        if form == "arrow":
            with pa.OSFile(str(written), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
        else:
            pq.write_table(table, written, row_group_size=3)
    return written


def read(path: Path, **options: object) -> Source:
    return find_source(DataOptions(name="mine", path=str(path), **options))  # type: ignore[arg-type]


def values(listing: Listing | None) -> list[int]:
    assert listing is not None
    return [int(image[1, 1, 0]) for image in decode(listing, np.arange(len(listing.labels)))[0]]


def from_datasets(
    column: str = "split", splits: Sequence[object] = SPLITS, **others: Sequence[object] | None
) -> Source:
    pytest.importorskip("datasets")
    library = importlib.import_module("datasets")
    images = [{"bytes": png(pixels(number)), "path": None} for number in range(len(LABELS))]
    every = {"image": images, "label": [*LABELS], column: [*splits], **others}
    columns = {name: values for name, values in every.items() if values is not None}
    kinds = {name: library.Image() if name == "image" else library.Value("string") for name in columns}
    made = library.Dataset.from_dict(columns, features=library.Features(kinds))
    return read_own("mine:data", lambda: made, {}, ColumnOptions())


def make(folder: Path, form: str, splits: Sequence[object], column: str, **others: Sequence[object] | None) -> Source:
    if form == "datasets":
        return from_datasets(column, [*map(str, splits)], **others)
    return read(write(folder, form, "all", splits, 0, column, **others))


@pytest.mark.parametrize("form", FORMS)
def test_splits_are_those_that_the_column_tells(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = from_datasets() if form == "datasets" else read(write(tmp_path / "data", form, "all", SPLITS))
    said = capsys.readouterr().err
    assert values(source.train) == [0, 2, 4, 5, 7]
    assert values(source.validation) == [3]
    assert values(source.test) == [1, 6]
    assert source.classes == ("cat", "dog")
    assert [source.classes[label] for label in source.train.labels] == ["cat", "cat", "dog", "cat", "dog"]
    assert source.test is not None
    assert source.test.labels.tolist() == [1, 0]
    assert [values(source.train)[i] for i in (1, 3)] == [2, 5]
    assert '"split"' in said
    assert len({source.train.place(index) for index in range(5)} | {source.test.place(0)}) == 6


@pytest.mark.parametrize("form", FORMS)
def test_a_column_that_means_something_else_is_left_alone(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = "AABBABAB"
    source = (
        from_datasets("set", sets)
        if form == "datasets"
        else read(write(tmp_path / "data", form, "all", sets, column="set"))
    )
    assert (len(source.train.labels), source.test, source.classes) == (8, None, ("cat", "dog"))
    assert "\"set\" tells no splits (it says 'A')" in capsys.readouterr().err


@pytest.mark.parametrize("form", FORMS)
def test_a_column_that_tells_none_hides_none_that_does(tmp_path: Path, form: str) -> None:
    source = make(tmp_path / "data", form, (0, 1, 2, 3, 4, 0, 1, 2), "split", set=SPLITS)
    assert (values(source.train), values(source.validation), values(source.test)) == ([0, 2, 4, 5, 7], [3], [1, 6])
    assert source.classes == ("cat", "dog")


@pytest.mark.parametrize("form", FORMS)
def test_a_column_that_tells_none_and_is_the_only_other_has_the_labels(tmp_path: Path, form: str) -> None:
    source = make(tmp_path / "data", form, "AABBABAB", "set", label=None)
    assert (source.classes, source.train.labels.tolist()) == (("A", "B"), [0, 0, 1, 1, 0, 1, 0, 1])
    with pytest.raises(InputError, match=r"no label .*column"):
        make(tmp_path / "data", form, SPLITS, "set", label=None)


@pytest.mark.parametrize("form", ["csv", "names", "arrow names"])
def test_image_files_lie_in_a_folder_for_their_split(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "data"
    table = write(folder, "csv" if form == "csv" else "names", "all", SPLITS)
    if form == "arrow names":
        rows = pq.read_table(table)
        table.unlink()
        table = folder / "all.arrow"
        with pa.OSFile(str(table), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
    for number, split in enumerate(SPLITS):
        (folder / split.lower()).mkdir(exist_ok=True)
        (folder / f"{number}.png").rename(folder / split.lower() / f"{number}.png")
    source = read(table)
    assert (values(source.train), values(source.validation), values(source.test)) == ([0, 2, 4, 5, 7], [3], [1, 6])


def test_a_key_of_splits_beside_class_numbers_is_read(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for number, split in enumerate(("train", "train", "test", "val")):
        about = json.dumps({"caption": "a", "split": split}).encode()
        label = str(number % 2).encode()
        members |= {f"{number}.png": png(pixels(number)), f"{number}.cls": label, f"{number}.json": about}
    source = read(write_tar(tmp_path / "a.tar", members))
    assert (values(source.train), values(source.test), values(source.validation)) == ([0, 1], [2], [3])
    assert source.train.labels.tolist() == [0, 1]
    for other in (b"[]", b"{", b"{}"):
        assert read(write_tar(tmp_path / "b.tar", members | {"0.json": other})).test is None


def test_a_key_beside_class_numbers_that_means_something_else_divides_no_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def members(first: int, *splits: str) -> dict[str, bytes]:
        named = [(str(number), split) for number, split in enumerate(splits, first)]
        images = {f"{number}.png": png(pixels(int(number))) for number, _ in named}
        classes = {f"{number}.cls": str(int(number) % 2).encode() for number, _ in named}
        about = {f"{number}.json": json.dumps({"split": split}).encode() for number, split in named}
        return images | classes | about

    write_tar(tmp_path / "data" / "train.tar", members(0, "train", "extra"))
    write_tar(tmp_path / "data" / "test.tar", members(2, "test", "test"))
    source = read(tmp_path / "data")
    assert (values(source.train), values(source.test)) == ([0, 1], [2, 3])
    assert "says 'extra': splits are told by the names of the files, not by" in capsys.readouterr().err


@pytest.mark.parametrize("form", FORMS[:-1])
def test_a_blank_in_a_file_for_testing_divides_nothing_in_another_way(tmp_path: Path, form: str) -> None:
    write(tmp_path / "data", form, "train", ("train", "train", "val", "train"))
    write(tmp_path / "data", form, "test", ("test", ""), first=4)
    source = read(tmp_path / "data")
    assert (values(source.train), values(source.validation), values(source.test)) == ([0, 1, 3], [2], [4, 5])


def test_a_row_is_named_as_its_file_numbers_it(tmp_path: Path) -> None:
    table = write(tmp_path / "data", "names", "all", SPLITS)
    rows = pq.read_table(table)
    files = rows.column("image").to_pylist()
    files[6] = ""
    pq.write_table(rows.set_column(0, "image", pa.array(files)), table)
    with pytest.raises(InputError, match="row 7: a file name must be given, got ''"):
        read(table)


@pytest.mark.parametrize("form", FORMS[:-1])
def test_each_file_has_its_own_column_of_splits(tmp_path: Path, form: str) -> None:
    write(tmp_path / "data", form, "a", ("train", "test"))
    write(tmp_path / "data", form, "b", ("test", "train"), first=2, column="subset", split=(5, 7))
    source = read(tmp_path / "data")
    assert (values(source.train), values(source.test)) == ([0, 3], [1, 2])


@pytest.mark.parametrize("form", FORMS[:-1])
def test_a_column_of_splits_can_be_the_label(tmp_path: Path, form: str) -> None:
    source = read(write(tmp_path / "data", form, "all", "AABBABAB", column="set"), label_column="set")
    assert (source.classes, source.train.labels.tolist()) == (("A", "B"), [0, 0, 1, 1, 0, 1, 0, 1])
    told = read(write(tmp_path / "data", form, "all", SPLITS), label_column="split")
    assert (told.classes, told.test) == (("Train", "test", "train", "val"), None)


@pytest.mark.parametrize("form", FORMS[:-1])
def test_within_a_file_for_training_rows_may_be_for_validation(tmp_path: Path, form: str) -> None:
    write(tmp_path / "data", form, "train", ("train", "train", "val", "train"))
    write(tmp_path / "data", form, "test", ("test", "test"), first=4)
    source = read(tmp_path / "data")
    assert (values(source.train), values(source.validation), values(source.test)) == ([0, 1, 3], [2], [4, 5])


@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize("wrong", ["test", "val"])
def test_a_column_against_the_name_of_training_files_is_refused(tmp_path: Path, form: str, wrong: str) -> None:
    trained = ("train", "train", wrong)
    write(tmp_path / "data", form, "train", trained)
    write(tmp_path / "data", form, "val", ("val",), first=6)
    write(tmp_path / "data", form, "test", ("test", "test"), first=4)
    refused = rf'train\..*: "split" says \'{wrong}\' where the file is for train; .*give those for train alone'
    with pytest.raises(InputError, match=refused):
        read(tmp_path / "data")


@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize(
    ("trained", "others"),
    [
        (("train", "test", "train", "test"), ("train", "test")),  # all images split anew
        (("train",) * 4, ("train", "train")),  # a part of the training images
        (("train",) * 4, ("test", "unlabeled")),
    ],
)
def test_a_column_that_divides_in_another_way_than_the_files_is_not_used(
    tmp_path: Path, form: str, trained: Sequence[str], others: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "data", form, "train", trained)
    write(tmp_path / "data", form, "val", others, first=4)
    source = read(tmp_path / "data")
    assert (values(source.train), values(source.validation), source.test) == ([0, 1, 2, 3], [4, 5], None)
    said = capsys.readouterr().err
    assert 'where the file is for validation: splits are told by the names of the files, not by "split"' in said


@pytest.mark.parametrize("form", FORMS)
def test_one_row_that_tells_no_split_is_refused(tmp_path: Path, form: str) -> None:
    for splits, refused in (
        ((*SPLITS[:-1], "odd"), r'"split" must tell train, validation or test, got .odd'),
        (("test",) * 8, "no row is for training, there are rows for test"),
    ):
        path = None if form == "datasets" else write(tmp_path / "data", form, "all", splits)
        with pytest.raises(InputError, match=refused):
            from_datasets(splits=splits) if path is None else read(path)


def test_splits_as_the_hubs_class_labels(tmp_path: Path) -> None:
    about = {"info": {"features": {"split": {"_type": "ClassLabel", "names": ["test", "train"]}}}}
    columns = {"image": [png(pixels(i)) for i in range(4)], "name": ["a", "b", "a", "b"], "split": [1, 1, 0, 0]}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, tmp_path / "a.parquet")
    source = read(tmp_path / "a.parquet", label_column="name")
    assert (values(source.train), values(source.test)) == ([0, 1], [2, 3])


@pytest.mark.parametrize("form", ["parquet", "arrow", "shard"])
def test_the_digest_changes_with_the_splits(tmp_path: Path, form: str) -> None:
    digests = set()
    for splits in (SPLITS, ("train", "test", "train", "val", "train", "test", "train", "train")):
        digests.add(state_of(read(write(tmp_path / "data", form, "all", splits))).digest)
    assert len(digests) == 2


@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize("numbers", [False, True])
def test_test_rows_without_labels(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, *, numbers: bool) -> None:
    labels = [int(label == "dog") for label in LABELS] if numbers else LABELS
    nothing = -1 if numbers else "" if form == "csv" else None
    bare = tuple(nothing if split == "test" else label for label, split in zip(labels, SPLITS, strict=True))
    monkeypatch.setattr("tests.unit.data.test_split_columns.LABELS", bare)
    source = read(write(tmp_path / "data", form, "all", SPLITS))
    assert source.test is None
    assert values(source.unlabelled) == [1, 6]
    assert source.train.labels.tolist() == [0, 0, 1, 0, 1]


@pytest.mark.parametrize("form", FORMS[:-1])
def test_a_test_file_of_minus_one(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.data.test_split_columns.LABELS", (0, 1, 0, 1, -1, -1))
    write(tmp_path / "data", form, "train", ["train"] * 4)
    write(tmp_path / "data", form, "test", ["test"] * 2, first=4)
    source = read(tmp_path / "data")
    assert (source.test, values(source.unlabelled)) == (None, [4, 5])


def test_minus_one_is_a_class_where_training_images_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.data.test_split_columns.LABELS", (-1, 1, -1, 1, -1, -1))
    source = read(write(tmp_path / "data", "csv", "all", ["train"] * 4 + ["test"] * 2))
    assert source.classes == ("-1", "1")
    assert source.test is not None
    assert source.test.labels.tolist() == [0, 0]


@pytest.mark.parametrize("form", ["parquet", "arrow", "shard"])
def test_a_column_that_says_what_the_files_names_say_changes_no_digest(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "data", form, "train", ["train"] * 4)
    write(tmp_path / "data", form, "test", ["test"] * 4, first=4)
    digest = state_of(read(tmp_path / "data")).digest
    assert "told by" not in capsys.readouterr().err
    monkeypatch.setattr("truelift.data.columns.SPLIT_NAMES", ())
    assert state_of(read(tmp_path / "data")).digest == digest


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["train", None], ["test", "train"]]),
        pa.chunked_array([pa.array(["train", None]).dictionary_encode(), pa.array(["test"]).dictionary_encode()]),
        pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([1, 1]), pa.array(["test", "train"]))]),
        pa.chunked_array([[1, 2, None, 1]]),
        pa.chunked_array([[True, False]]),
        pa.chunked_array([[["a"], None, ["b"]]]),
        pa.chunked_array([], pa.string()),
    ],
)
def test_words_of_a_column_are_those_of_its_values(column: pa.ChunkedArray) -> None:
    words = _words(column)
    said = ["" if value is None else str(value) for value in column.to_pylist()]
    assert [words.known[row] for row in words.rows] == said
    assert {*words.known} == {*said}
