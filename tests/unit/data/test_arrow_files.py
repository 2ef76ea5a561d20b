"""Arrow files: as Hugging Face's `save_to_disk` leaves them, and what is none."""

import gc
import importlib
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.data.image_files import IMAGE_TYPE, metadata, pixels, png, write_classes, write_folder

from truelift.data import DataOptions, Photographs, load, load_unlabelled
from truelift.data.decode import decode
from truelift.data.listing import Listing, Source
from truelift.data.loading import find_source
from truelift.errors import InputError

NAMES = ("cat", "dog")


def write_arrow(
    file: Path,
    labels: Sequence[int | None] | None,
    *,
    first: int = 0,
    count: int = 0,
    names: Sequence[str] | None = NAMES,
    in_place: bool = False,
) -> Path:
    """Image i has the value first + i; two record batches."""
    count = count if labels is None else len(labels)
    columns = {"image": pa.array([{"bytes": png(pixels(first + i)), "path": None} for i in range(count)], IMAGE_TYPE)}
    if labels is not None:
        columns["label"] = pa.array(labels, pa.int64())
    table = pa.table(columns)
    if names is not None:
        table = table.replace_schema_metadata(metadata(label=names))
    file.parent.mkdir(parents=True, exist_ok=True)
    with (pa.ipc.new_file if in_place else pa.ipc.new_stream)(str(file), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return file


def write_state(folder: Path, *files: str, **more: Any) -> None:
    state = {"_data_files": [{"filename": name} for name in files], **more}
    (folder / "state.json").write_text(json.dumps(state))


def read(path: Path, **options: Any) -> Source:
    return find_source(DataOptions(name="mine", path=str(path), **options))


def values(listing: Listing) -> list[int]:
    return [int(image[1, 1, 0]) for image in decode(listing, np.arange(len(listing.labels)))[0]]


@pytest.mark.parametrize("in_place", [False, True])
def test_one_file(tmp_path: Path, in_place: bool) -> None:
    file = write_arrow(tmp_path / "data.arrow", [0, 1, 0, 1, 1], in_place=in_place)
    for path in (file, tmp_path):
        source = read(path)
        assert (source.classes, source.train.labels.tolist(), source.test) == (NAMES, [0, 1, 0, 1, 1], None)
        gc.collect()  # what is mapped stays where its rows are wanted
        assert values(source.train) == [0, 1, 2, 3, 4]
        assert source.train.place(3) == f"{file} row 3"
        assert source.train.files() == [str(file)]


def test_a_folder_for_each_split_and_several_files(tmp_path: Path) -> None:
    names = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
    write_arrow(tmp_path / "train" / names[0], [0, 1, 0])
    write_arrow(tmp_path / "train" / names[1], [1, 1], first=3)
    write_arrow(tmp_path / "train" / "data-00002-of-00003.arrow", [0], first=90)  # of an earlier, larger save
    write_arrow(tmp_path / "train" / "cache-1f2e3d.arrow", [0], first=91)
    write_state(tmp_path / "train", *names)
    write_arrow(tmp_path / "test" / "data-00000-of-00001.arrow", [1, 0], first=5)
    source = read(tmp_path)
    assert source.test is not None
    assert (source.train.labels.tolist(), source.test.labels.tolist()) == ([0, 1, 0, 1, 1], [1, 0])
    assert (values(source.train), values(source.test)) == ([0, 1, 2, 3, 4], [5, 6])
    assert source.train.place(4) == f"{tmp_path / 'train' / names[1]} row 1"
    copied = pickle.loads(pickle.dumps(source.train.openers))
    with next(copied(np.array([4])))() as image:
        assert image.getpixel((1, 1)) == (4, 4, 4)


def test_a_test_set_without_labels(tmp_path: Path) -> None:
    write_arrow(tmp_path / "train.arrow", [0, 1, 0, 1])
    for labels in (None, [-1, -1], [None, None]):
        write_arrow(tmp_path / "test.arrow", labels, first=4, count=2)
        assert read(tmp_path).test is None
        found = load_unlabelled(DataOptions(name="x", path=str(tmp_path)))
        assert found.images.labels.tolist() == [-1, -1]
        assert [*found.places] == [f"{tmp_path / 'test.arrow'} row {row}" for row in range(2)]


def test_image_files_that_are_named(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(pixels(number)))
    texts = [f"{number}.png" for number in range(4)]
    structs = pa.array([{"bytes": None, "path": name} for name in texts], IMAGE_TYPE)
    for column in (structs, pa.array(texts)):
        table = pa.table({"image": column, "label": pa.array(["b", "a", "b", "a"])})
        with pa.ipc.new_stream(str(tmp_path / "data.arrow"), table.schema) as writer:
            writer.write_table(table)
        source = read(tmp_path)
        assert (source.classes, source.train.labels.tolist()) == (("a", "b"), [1, 0, 1, 0])
        assert values(source.train) == [0, 1, 2, 3]
        assert source.train.place(2) == str(tmp_path / "2.png")


def test_as_the_parquet_files_streamed_and_decoded(tmp_path: Path) -> None:
    labels = [0, 1] * 12
    write_arrow(tmp_path / "arrow" / "data.arrow", labels)
    write_classes(tmp_path / "parquet" / "data.parquet", labels)
    arrow = {"name": "x", "path": str(tmp_path / "arrow")}
    loaded = load(DataOptions(**arrow), split_seed=0)  # type: ignore[arg-type]
    other = load(DataOptions(name="x", path=str(tmp_path / "parquet")), split_seed=0)
    for one, same in ((loaded.train, other.train), (loaded.test, other.test)):
        assert (one.images == same.images).all()  # type: ignore[union-attr]
        assert (one.labels == same.labels).all()
    streamed = load(DataOptions(**arrow, stream=True, resize=4, workers=0), split_seed=0)  # type: ignore[arg-type]
    assert isinstance(streamed.train, Photographs)
    assert streamed.state == loaded.state
    write_arrow(tmp_path / "arrow" / "data.arrow", labels, first=1)
    assert load(DataOptions(**arrow), split_seed=0).state != loaded.state  # type: ignore[arg-type]


def test_parquet_files_go_before_arrow_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrow(tmp_path / "a.arrow", [0, 1, 0])
    write_classes(tmp_path / "a.parquet", [0, 1])
    assert len(read(tmp_path).train.labels) == 2
    assert "parquet files are read, not a.arrow" in capsys.readouterr().err


def test_class_folders_go_before_arrow_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path, {"a": 2, "b": 2})
    file = write_arrow(tmp_path / "data.arrow", [0, 1, 0])
    assert read(tmp_path).classes == ("a", "b")
    assert "class folders are read, not data.arrow; to read it, give it as data.path" in capsys.readouterr().err
    assert read(file).classes == NAMES
    (tmp_path / "saved").mkdir()
    file.rename(tmp_path / "saved" / "data.arrow")
    with pytest.raises(InputError, match=r"class folder without images: .*saved"):
        read(tmp_path)


def test_what_is_no_arrow_file(tmp_path: Path) -> None:
    file = write_arrow(tmp_path / "data.arrow", [0, 1, 0, 1])
    whole = file.read_bytes()
    for content in (b"", b"ARROW1", b"text" * 100, whole[:200], whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^cannot read {file} as an arrow file: .+"):
            read(file)
    write_arrow(file, [0, 1, 0, None])
    with pytest.raises(InputError, match=r'data.arrow row 3: a label must be an integer, got null in "label"'):
        read(file)
    write_arrow(file, [0, 1, 0, 2])
    with pytest.raises(InputError, match=r"data.arrow row 3: a label must be in 0..1 \(2 classes\), got 2"):
        read(file)
    write_arrow(file, [0, 1])
    write_arrow(tmp_path / "more.arrow", [0, 1], names=("dog", "cat"))
    with pytest.raises(InputError, match=r'more.arrow and .*data.arrow name the classes of "label" differently'):
        read(tmp_path)
    (tmp_path / "more.arrow").unlink()
    for state, message in (
        ("{", r"cannot read .*state.json: JSONDecodeError"),
        ("[]", r"cannot read .*state.json: AttributeError"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', r"gone.arrow: state.json beside it names this file, which"),
        ('{"_data_files": [], "_indices_files": [{}]}', r"state.json: ValueError: its rows are chosen by a file of"),
    ):
        (tmp_path / "state.json").write_text(state)
        with pytest.raises(InputError, match=message):
            read(tmp_path)


def write_plain(file: Path, table: pa.Table, *, in_place: bool = False, **options: Any) -> bytes:
    chosen = pa.ipc.IpcWriteOptions(**options)
    with (pa.ipc.new_file if in_place else pa.ipc.new_stream)(str(file), table.schema, options=chosen) as writer:
        writer.write_table(table, max_chunksize=2)
    return file.read_bytes()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("form", ["zstd", "lz4"])
def test_compressed_bodies_are_refused(tmp_path: Path, form: str, in_place: bool) -> None:
    """Whichever message it is: rows, or the values of a dictionary."""
    rows, labels = pa.array([png(pixels(1))] * 4), pa.array(["a", "b", "a", "b"])
    for column in (labels, labels.dictionary_encode()):
        table = pa.table({"image": rows, "label": column})
        write_plain(tmp_path / "a.arrow", table, in_place=in_place)
        assert read(tmp_path).train.labels.tolist() == [0, 1, 0, 1]
        write_plain(tmp_path / "a.arrow", table, in_place=in_place, compression=form)
        with pytest.raises(
            InputError, match=r"cannot read .*a.arrow as an arrow file: its batches must not be compres"
        ):
            read(tmp_path)
    zeros = pa.table({"image": rows, "label": labels, "more": [bytes(1 << 24)] * 4})
    assert len(write_plain(tmp_path / "a.arrow", zeros, in_place=in_place, compression=form)) < 1 << 20
    before = pa.total_allocated_bytes()
    with pytest.raises(InputError, match="must not be compressed"):
        read(tmp_path)
    assert pa.total_allocated_bytes() - before < 1 << 20


@pytest.mark.parametrize("in_place", [False, True])
def test_more_rows_than_bytes_are_refused(tmp_path: Path, in_place: bool) -> None:
    file = tmp_path / "a.arrow"
    nothing = pa.Array.from_buffers(pa.null(), 1 << 40, [None])  # pa.nulls would take memory for it
    table = pa.table({"image": nothing, "label": nothing})
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with (pa.ipc.new_file if in_place else pa.ipc.new_stream)(str(file), table.schema, options=options) as writer:
        writer.write_table(table)
    assert file.stat().st_size < 2000
    with pytest.raises(InputError, match=rf"{1 << 40} rows are declared in {file.stat().st_size} bytes"):
        read(file)


def test_dictionaries_that_grow_are_refused(tmp_path: Path) -> None:
    chunks = [["a", "b"], ["a", "b", "c", "d"]]
    label = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(words)) for words in chunks])
    table = pa.table({"image": [png(pixels(i)) for i in range(4)], "label": label})
    write_plain(tmp_path / "a.arrow", table)  # written anew
    assert read(tmp_path).train.labels.tolist() == [0, 1, 0, 1]
    write_plain(tmp_path / "a.arrow", table, emit_dictionary_deltas=True)
    with pytest.raises(InputError, match="a dictionary must be written as a whole, not added to"):
        read(tmp_path)


def test_an_index_that_names_other_batches(tmp_path: Path) -> None:
    """One batch of rows could be named a million times."""
    table = pa.table({"image": [png(pixels(i)) for i in range(4)], "label": [0, 1, 0, 1]})
    two, one = (write_plain(tmp_path / "a.arrow", table[:rows], in_place=True) for rows in (4, 2))

    def footer(whole: bytes) -> int:
        return len(whole) - 10 - int.from_bytes(whole[-10:-6], "little")

    (tmp_path / "a.arrow").write_bytes(one[: footer(one)] + two[footer(two) :])
    with pytest.raises(InputError, match="its index names 2 batches, there are 1"):
        read(tmp_path)


def test_a_second_file_with_other_columns(tmp_path: Path) -> None:
    write_arrow(tmp_path / "a.arrow", [0, 1], names=None)
    cells = [{"path": "x.png"}] * 2
    for images, told in (
        (
            pa.array(cells),
            r'b.arrow has "image" of type struct<path: string>, .*a.arrow of type struct<bytes: binary, ',
        ),
        (pa.array(["x.png"] * 2), r'b.arrow has "image" of type string, .*; they must hold the same'),
        (pa.array([1, 2]), r'b.arrow has "image" of type int64'),
    ):
        write_plain(tmp_path / "b.arrow", pa.table({"image": images, "label": [0, 1]}))
        with pytest.raises(InputError, match=told):
            read(tmp_path)
    rows, labels = pa.array([{"bytes": png(pixels(5)), "path": None}] * 2, IMAGE_TYPE), pa.array([0, 1])
    for names, name in ((["image", "image", "label"], "image"), (["image", "label", "label"], "label")):
        columns = [rows if one == "image" else labels for one in names]
        write_plain(tmp_path / "b.arrow", pa.Table.from_arrays(columns, names))
        with pytest.raises(InputError, match=rf'b.arrow must have the column "{name}" once, got it 2 times'):
            read(tmp_path)
        with pytest.raises(InputError, match=rf"more than one {name} .*column|{name}.* once"):
            read(tmp_path / "b.arrow")
    # Plain bytes and a struct's are read alike.
    write_plain(tmp_path / "b.arrow", pa.table({"image": pa.array([png(pixels(2))] * 2), "label": [1, 0]}))
    assert values(read(tmp_path).train) == [0, 1, 2, 2]


def test_no_damage_makes_anything_but_an_error(tmp_path: Path) -> None:
    """Bytes changed at random: each file is read, or refused; images that are damaged are told by the decoder."""
    file = write_arrow(tmp_path / "data.arrow", [0, 1, 0, 1])
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        file.write_bytes(bytes(damaged))
        try:
            source = read(file)
            decode(source.train, np.arange(len(source.train.labels)), on_error="skip")
        except InputError:
            refused += 1
    assert 0 < refused < 150


class TestHuggingFace:
    """As the library itself writes."""

    @pytest.fixture
    def library(self) -> Any:
        pytest.importorskip("datasets")
        return importlib.import_module("datasets")

    def test_saved_to_disk(self, library: Any, tmp_path: Path) -> None:
        features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=[*NAMES])})
        columns = {"image": [pixels(i) for i in range(6)], "label": [0, 1, 0, 1, 1, 0]}
        whole = library.Dataset.from_dict(columns, features=features)
        whole.save_to_disk(tmp_path / "one", num_shards=2)
        source = read(tmp_path / "one")
        assert (source.classes, source.train.labels.tolist()) == (NAMES, columns["label"])
        assert values(source.train) == [*range(6)]
        assert len(source.train.files()) == 2
        both = library.DatasetDict({"train": whole, "test": whole.select([4, 1])})  # rows chosen by indices
        both.save_to_disk(tmp_path / "both")
        source = read(tmp_path / "both")
        assert source.test is not None
        assert (source.test.labels.tolist(), values(source.test)) == ([1, 1], [4, 1])
        assert source.test.labels.tolist() == library.load_from_disk(tmp_path / "both")["test"]["label"][:]
