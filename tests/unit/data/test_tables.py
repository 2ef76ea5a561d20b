"""Tables of image files and labels, in the forms in which people have them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.data.image_files import pixels, png

from truelift.data import DataOptions, ImageSet, load, load_unlabelled, table_file
from truelift.data.listing import Source
from truelift.data.loading import find_source
from truelift.errors import InputError


def write_images(folder: Path, count: int, *, ending: str = ".png", first: int = 0) -> list[str]:
    """Image i has the value 10·i; its name is its number."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:03}{ending}" for number in range(first, first + count)]
    for number, name in enumerate(names, start=first):
        (folder / name).write_bytes(png(pixels(10 * number % 256)))
    return names


def write(file: Path, *lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    return file


def rows(names: Sequence[str], labels: str) -> list[str]:
    """A line for each name and letter."""
    return [f"{name},{label}" for name, label in zip(names, labels, strict=True)]


def read(path: Path, **options: object) -> Source:
    return find_source(DataOptions(name="mine", path=str(path), **options))  # type: ignore[arg-type]


def images(splits_part: object) -> list[int]:
    assert isinstance(splits_part, ImageSet)
    return [int(value) // 10 for value in splits_part.images[:, 0, 1, 1]]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("file_name,label", ","), ("image_id;class", ";"), ("Image Path\tspecies", "\t"), ("path,what", ",")],
)
def test_a_table_beside_its_images(
    tmp_path: Path, header: str, delimiter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = write_images(tmp_path, 6)
    lines = [line.replace(",", delimiter) for line in rows(names, "bacbca")]
    source = read(write(tmp_path / "mine.csv", header, *lines))
    assert source.classes == ("a", "b", "c")
    assert source.train.labels.tolist() == [1, 0, 2, 1, 2, 0]
    assert source.train.place(3) == str(tmp_path / "003.png")
    with source.train.opener(4)() as image:
        assert image.getpixel((1, 1)) == (40, 40, 40)
    image_column, label_column = header.split(delimiter)
    said = capsys.readouterr().err
    assert f'file names are read from "{image_column}", labels from "{label_column}": 3 classes, 6 train images' in said
    assert said.count("\n") == 1


def test_metadata_of_imagefolder(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        names = write_images(tmp_path / split, 4, first=4 * number)
        write(tmp_path / split / "metadata.csv", "file_name,label,caption", *(f"{r},x" for r in rows(names, "abab")))
    source = read(tmp_path)
    assert source.validation is not None
    assert source.test is not None
    assert [len(part.labels) for part in (source.train, source.validation, source.test)] == [4, 4, 4]
    with source.test.opener(1)() as image:
        assert image.getpixel((1, 1)) == (90, 90, 90)


def test_one_metadata_file_with_the_splits_in_its_names(tmp_path: Path) -> None:
    lines = []
    for number, split in enumerate(("train", "test")):
        lines += [f"{split}/{row}" for row in rows(write_images(tmp_path / split, 4, first=4 * number), "abab")]
    objects = [{"file_name": line.split(",")[0], "label": line.split(",")[1]} for line in lines]
    by_form = {"metadata.csv": ["file_name,label", *lines], "metadata.jsonl": [*map(json.dumps, objects)]}
    for name, text in by_form.items():
        file = write(tmp_path / name, *text)
        source = read(tmp_path)
        assert source.test is not None
        assert (len(source.train.labels), source.test.labels.tolist()) == (4, [0, 1, 0, 1])
        file.unlink()


def test_a_column_of_splits(tmp_path: Path) -> None:
    names = write_images(tmp_path / "images", 6)
    splits = ["Train", "train", "train", "train", "VAL", "test"]
    lines = [f"{n},{label},{s}" for n, label, s in zip(names, "aabbab", splits, strict=True)]
    source = read(write(tmp_path / "labels.csv", "image,label,split", *lines).parent)
    assert source.validation is not None
    assert source.test is not None
    assert [part.labels.tolist() for part in (source.train, source.validation, source.test)] == [[0, 0, 1, 1], [0], [1]]
    write(tmp_path / "labels.csv", "image,label,split", *lines[:5], "005.png,b,other")
    with pytest.raises(InputError, match=r'labels.csv row 6: "split" must tell train, validation or test, got .other'):
        read(tmp_path)


def test_a_competition(tmp_path: Path) -> None:
    """train.csv with names without endings, a folder for each split, and a test set without labels."""
    train, test = write_images(tmp_path / "train", 10, ending=".jpg"), write_images(tmp_path / "test", 3, ending=".jpg")
    write(tmp_path / "train.csv", "id,breed", *rows([name[:-4] for name in train], "ababababab"))
    write(tmp_path / "sample_submission.csv", "id,a,b", *(f"{name[:-4]},0.5,0.5" for name in test))
    options = DataOptions(name="dogs", path=str(tmp_path))
    with pytest.raises(
        InputError, match=r"test/000.jpg: the test set has no labels, .*; --data.unlabelled_test cut leaves it aside"
    ):
        load(options, split_seed=0)
    splits = load(DataOptions(name="dogs", path=str(tmp_path), unlabelled_test="cut"), split_seed=0)
    assert splits.validation is not None
    assert sorted([*images(splits.train), *images(splits.validation), *images(splits.test)]) == [*range(10)]
    assert splits.state is not None
    assert splits.state.images == {"train": 10, "unlabelled test": 3}
    found = load_unlabelled(options)
    assert images(found.images) == [0, 1, 2]
    assert found.images.labels.tolist() == [-1, -1, -1]
    assert [Path(place).name for place in found.places] == test
    # The same, told by a table of its own.
    write(tmp_path / "test.csv", "id", *(name[:-4] for name in test))
    assert images(load_unlabelled(options).images) == [0, 1, 2]
    streamed = load_unlabelled(DataOptions(name="dogs", path=str(tmp_path), stream=True, resize=4))
    assert (len(streamed.images), [*streamed.places]) == (3, [*found.places])


def test_unlabelled_images_are_counted_where_they_cannot_be_decoded(tmp_path: Path) -> None:
    write_images(tmp_path / "train" / "a", 4)
    write_images(tmp_path / "train" / "b", 4)
    write_images(tmp_path / "test", 3)
    (tmp_path / "test" / "001.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"test/001.png: cannot decode"):
        load_unlabelled(DataOptions(name="x", path=str(tmp_path)))
    found = load_unlabelled(DataOptions(name="x", path=str(tmp_path), on_error="skip"))
    assert (images(found.images), found.skipped) == ([0, 2], 1)
    assert [Path(place).name for place in found.places] == ["000.png", "002.png"]
    with pytest.raises(InputError, match=r"data.path must hold a test set without labels, got .*train"):
        load_unlabelled(DataOptions(name="x", path=str(tmp_path / "train")))


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ("2,0,1,2", ("0", "1", "2"), [2, 0, 1, 2]),
        ("10,9,10,9", ("9", "10"), [1, 0, 1, 0]),  # in the order of numbers, not of text
        ("true,false,false,true", ("false", "true"), [1, 0, 0, 1]),
        (" dog,cat ,dog,cat", ("cat", "dog"), [1, 0, 1, 0]),
    ],
)
def test_kinds_of_labels(tmp_path: Path, labels: str, classes: tuple[str, ...], numbers: list[int]) -> None:
    lines = [",".join(pair) for pair in zip(write_images(tmp_path, 4), labels.split(","), strict=True)]
    source = read(write(tmp_path / "a.csv", "file,label", *lines))
    assert (source.classes, source.train.labels.tolist()) == (classes, numbers)


def test_class_names_beside_a_table(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "file,label", *rows(write_images(tmp_path, 4), "0202"))
    write(tmp_path / "classes.txt", "cat", "dog", "cow")
    source = read(file)
    assert (source.classes, source.train.labels.tolist()) == (("cat", "dog", "cow"), [0, 2, 0, 2])
    write(file, "file,label", *[f"{n},{w}" for n, w in zip(write_images(tmp_path, 2), ["cow", "cat"], strict=True)])
    assert read(file).train.labels.tolist() == [2, 0]
    write(file, "file,label", *[f"{n},{w}" for n, w in zip(write_images(tmp_path, 2), ["cow", "rat"], strict=True)])
    with pytest.raises(InputError, match='must be a class number or one of the 3 class names, got "rat"'):
        read(file)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label", "000.png,a", "000.png,b"], r"row 2: .*000.png must be named once, it is in .*a.csv row 1 too"),
        (["file,label", "000.png,a", "./000.png,b"], r"row 2: .*000.png must be named once"),
        (["file,label", "000.png,a", "001.png,"], r"a.csv row 2: a label must be given, got none"),
        (["file,label", "000.png,a", "001.png"], r"a.csv row 2: a row must have 2 fields as the header, got 1"),
        (["file,label", ",a", "001.png,b"], r"a.csv row 1: a file name must be given, got ''"),
        (["file,label", "x.png,a", "y.png,b"], r"a.csv row 1: there is no image file 'x.png' in .*--data.image_folder"),
        (["file,label,class", "000.png,a,b"], r"more than one label column: label, class; name it with --data.label_"),
        (["file,width,height", "000.png,1,2"], r"no label column in width, height; name it"),
        (["a,b", "000.png,1"], r"no column is named for images .* among a, b; name it with --data.image_column"),
        (["file,file", "000.png,1"], r'columns must have different names, got "file" twice'),
        (["", "000.png,1"], r"a table must begin with the names of its columns"),
        (["file,label", "000.png,a", "001.png,a"], 'at least two classes with training images, got only "a"'),
        (["file,label", "000.png,a", f"001.png,{'x' * 1001}"], "a class name must have 1000 characters at most"),
        (["file,label", '000.png,"a' + "x" * 200_000 + '"'], "cannot read .* as a table: field larger than"),
    ],
)
def test_what_is_no_table_of_images(tmp_path: Path, lines: list[str], message: str) -> None:
    write_images(tmp_path, 2)
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.csv", *lines))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"file": "000.png", "label": 3}', "[]"], "row 2: must be a JSON object, got list"),
        (['{"file": "000.png", "label": 3}', "{"], "row 2: must be a JSON object, got '{'"),
        (['{"file": "000.png", "label": 3}', '{"file": "001.png"}'], "row 2: a label must be given, got none"),
        (['{"file": "000.png", "label": 0.5}'], "row 1: a label must be a whole number, text, true or false, got 0.5"),
        (['{"file": 1.5, "label": 0}'], 'row 1: "file" must be a file name, got 1.5'),
        (['{"file": "000.png", "label": 0}', '{"file": "001.png", "label": "a"}'], "of one kind, got text, whole"),
        (['{"file": "000.png", "label": -1}', '{"file": "001.png", "label": 1}'], "a label must be in 0..1"),
        ([], "a table must have a row, got none|table must have"),
    ],
)
def test_what_are_no_json_lines(tmp_path: Path, lines: list[str], message: str) -> None:
    write_images(tmp_path, 2)
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.jsonl", *lines))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"file,label\n\xff\xfe,a\n")
    with pytest.raises(InputError, match=r"cannot read .*a.csv as a table: .*utf-8"):
        read(tmp_path / "a.csv")


def test_columns_and_folder_as_the_user_says(tmp_path: Path) -> None:
    names = write_images(tmp_path / "far", 4)
    file = write(tmp_path / "near" / "a.csv", "x,y,label", *(f"{r},q" for r in rows(names, "abab")))
    options = {"image_column": "x", "label_column": "y", "image_folder": str(tmp_path / "far")}
    assert read(file, **options).classes == ("a", "b")
    with pytest.raises(InputError, match=r'unknown label column of .*a.csv "z"'):
        read(file, **{**options, "label_column": "z"})
    with pytest.raises(InputError, match=r"there is no image file '000.png' in .*near; name the folder"):
        read(file, image_column="x", label_column="y")


def test_names_as_windows_has_them(tmp_path: Path) -> None:
    names = write_images(tmp_path / "cats", 2)
    source = read(write(tmp_path / "a.csv", "file,label", *(f"cats\\{r}" for r in rows(names, "ab"))))
    assert source.train.place(1) == str(tmp_path / "cats" / "001.png")


def test_files_that_are_missing_or_not_named_are_told_or_counted(tmp_path: Path) -> None:
    names = write_images(tmp_path, 30)
    file = write(tmp_path / "a.csv", "file,label", *rows([*names, "gone.png"], "ab" * 15 + "a"))
    options = {"name": "x", "path": str(file)}
    with pytest.raises(InputError, match=r"gone.png: cannot decode the image \(.*No such file"):
        load(DataOptions(**options), split_seed=0)  # type: ignore[arg-type]
    (tmp_path / "more.png").write_bytes(png(pixels(1)))
    for path in (file, tmp_path):
        with pytest.raises(InputError, match=r"more.png: an image must be named in a.csv, 1 are beside them; --data"):
            load(DataOptions(name="x", path=str(path)), split_seed=0)
        assert load(DataOptions(name="x", path=str(path), on_error="skip"), split_seed=0).skipped_images == 2


def test_two_names_of_one_stem(tmp_path: Path) -> None:
    write_images(tmp_path, 2)
    write_images(tmp_path, 1, ending=".jpg")
    with pytest.raises(InputError, match='"000" must be the name of one image, there are several with other endings'):
        read(write(tmp_path / "a.csv", "id,label", "001,a", "000,b"))


def test_class_folders_go_before_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{c}/{name}" for c in "ab" for name in write_images(tmp_path / c, 3)]
    write(tmp_path / "labels.csv", "file,label", *rows(names, "xyxyxy"))
    assert read(tmp_path).classes == ("a", "b")
    assert "class folders are read, not labels.csv; to read it, give it as data.path" in capsys.readouterr().err
    assert read(tmp_path / "labels.csv").classes == ("x", "y")


def test_the_digest_knows_labels_and_no_place(tmp_path: Path) -> None:
    states = []
    for folder, labels in (("one", "abab" * 5), ("two", "abab" * 5), ("three", "baba" * 5)):
        names = write_images(tmp_path / folder, 20)
        file = write(tmp_path / folder / "a.csv", "file,label", *rows(names, labels))
        states.append(load(DataOptions(name="x", path=str(file)), split_seed=0).state)
    assert states[0] == states[1] != states[2]


def test_several_labels_of_a_table(tmp_path: Path) -> None:
    names = write_images(tmp_path, 4)
    cells = ["a|b", "b", " c | a", "c"]
    lines = [f"{n},{cell}" for n, cell in zip(names, cells, strict=True)]
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]]
    source = read(write(tmp_path / "a.csv", "file,tags", *lines), label_separator="|")
    assert (source.classes, source.train.labels.tolist(), source.several) == (("a", "b", "c"), expected, True)
    lines = [f"{n},{','.join(map(str, row))}" for n, row in zip(names, expected, strict=True)]
    file = write(tmp_path / "a.csv", "file,a,b,c", *lines)
    source = read(file, label_columns=("a", "c"))
    assert (source.classes, source.train.labels.tolist()) == (("a", "c"), [[1, 0], [0, 0], [1, 1], [0, 1]])
    objects = [{"file": n, "labels": cell.replace(" ", "").split("|")} for n, cell in zip(names, cells, strict=True)]
    source = read(write(tmp_path / "a.jsonl", *map(json.dumps, objects)))
    assert (source.classes, source.train.labels.tolist()) == (("a", "b", "c"), expected)
    with pytest.raises(InputError, match=r'unknown label column of .*a.csv "d"'):
        read(file, label_columns=("a", "d"))
    write(file, "file,a,b", "000.png,1,0", "001.png,0.5,1")
    with pytest.raises(InputError, match=r'a.csv row 2: "a" must be 0 or 1, got .0.5.'):
        read(file, label_columns=("a", "b"))
    with pytest.raises(InputError, match=r"data.label_columns must be two different names or more, got \('a', 'a'\)"):
        load(DataOptions(name="x", path=str(file), label_columns=("a", "a")), split_seed=0)
    with pytest.raises(InputError, match=r"data.label_columns must be left out with data.label_column"):
        load(DataOptions(name="x", path=str(file), label_columns=("a", "b"), label_column="a"), split_seed=0)


@pytest.mark.parametrize("delimiter", [" ", "\t", ",", ";", "  "])
@pytest.mark.parametrize("name", ["val.txt", "val.csv"])
def test_a_list_without_a_header(tmp_path: Path, name: str, delimiter: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = write_images(tmp_path / "val", 4)
    (tmp_path / "val" / "003.png").rename(tmp_path / "val" / "my cat.png")
    names[3] = "my cat.png"
    file = write(
        tmp_path / name, *(f"{n}{delimiter}{label}" for n, label in zip(names, [10, 9, 9, 10], strict=True)), ""
    )
    for path in (file, tmp_path):
        source = read(path)
        assert (source.classes, source.train.labels.tolist()) == (("9", "10"), [1, 0, 0, 1])
        assert source.train.place(3) == str(tmp_path / "val" / "my cat.png")
    assert 'file names are read from "file", labels from "label": 2 classes, 4 train' in capsys.readouterr().err
    write(tmp_path / "classes.txt", *(f"name {number}" for number in range(11)))
    assert read(file).train.labels.tolist() == [10, 9, 9, 10]


def test_a_list_for_each_split_and_a_test_set_without_labels(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        names = write_images(tmp_path / "images", 4, first=4 * number)
        write(tmp_path / f"{split}.txt", *(row.replace(",", " ") for row in rows(names, "abab")))
    write(tmp_path / "test.txt", *write_images(tmp_path / "images", 2, first=8))
    write(tmp_path / "notes.txt", "Every image was taken by hand.")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe.txt")
    source = read(tmp_path)
    assert source.validation is not None
    assert source.unlabelled is not None
    assert [len(part.labels) for part in (source.train, source.validation, source.unlabelled)] == [4, 4, 2]
    assert source.unlabelled.place(1) == str(tmp_path / "images" / "009.png")
    assert source.left_out == ()


def test_a_list_with_several_labels(tmp_path: Path) -> None:
    names = write_images(tmp_path, 3)
    file = write(tmp_path / "a.txt", *(f"{n} {v}" for n, v in zip(names, ("1 -1", "1 1", "0 1"), strict=True)))
    with pytest.raises(InputError, match=r"no label column in label 1, label 2; name it with --data.label_column"):
        read(file)
    assert read(file, label_columns=("label 1", "label 2")).train.labels.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert read(file, label_column="label 2").train.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["000.png 0", "001.png"], r"a.txt row 2: a row must have 2 fields as the first row, got 1"),
        (["000.png\t0", "001.png\t1\t2"], r"a.txt row 2: a row must have 2 fields as the first row, got 3"),
        (["000.png 0", "000.png 1"], r"row 2: .*000.png must be named once, it is in .*a.txt row 1 too"),
        (["000.png", "001.png"], r"a.txt: no label column in none"),
        (
            ["1 000.png", "2 001.png"],
            r"a.txt row 1: a list must have an image's file name and its label a line, got '1",
        ),
        ([""], r"a.txt row 1: a list must have an image's file name"),
        (["gone.png 0", "away.png 1"], r"a.txt row 1: there is no image file 'gone.png' in .*--data.image_folder"),
    ],
)
def test_what_is_no_list_of_images(tmp_path: Path, lines: list[str], message: str) -> None:
    write_images(tmp_path, 2)
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "a.txt", *lines))


def test_a_list_has_the_digest_of_its_table(tmp_path: Path) -> None:
    names = write_images(tmp_path, 20)
    states = []
    for file in (
        write(tmp_path / "a.csv", "file,label", *rows(names, "ab" * 10)),
        write(tmp_path / "b.txt", *(row.replace(",", " ") for row in rows(names, "ab" * 10))),
    ):
        states.append(load(DataOptions(name="x", path=str(file)), split_seed=0).state)
    assert states[0] == states[1]


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize("delimiter", [",", " "])
def test_a_list_has_so_many_columns_at_most(tmp_path: Path, name: str, delimiter: str) -> None:
    write_images(tmp_path, 2)
    file = write(tmp_path / name, "000.png" + f"{delimiter}0" * 20_000)
    with pytest.raises(InputError, match=rf"{name} row 1: a list must have 20000 columns at most, got more"):
        read(file)
    fields = f"{delimiter}0" * 19_999
    write(file, f"000.png{fields}", f"001.png{fields}")
    with pytest.raises(InputError, match=rf"{name}: no label column in label 1, label 2"):
        read(file)


@pytest.mark.parametrize("first", ["file,label", "000.png 0", "000.png 0 1", "000.png,0"])
def test_a_long_line_after_the_first(tmp_path: Path, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_file, "LONGEST_LINE", 100)
    for length, bad in ((101, True), (100, True), (99, False), (100_000, True)):
        line = "001.png".ljust(length)  # without the end of the line; fields are missing
        (tmp_path / "a.csv").write_text(f"{first}\n{line}\n")
        with pytest.raises(InputError) as raised:
            table_file.read_table(tmp_path / "a.csv")
        told = "a line must have less than 100 characters" if bad else "a row must have"
        assert told in str(raised.value), length


def test_tables_without_a_header_count_where_no_other_names_images(tmp_path: Path) -> None:
    names = write_images(tmp_path, 4)
    write(tmp_path / "labels.csv", "file,label", *rows(names, "abab"))
    boxes = write(tmp_path / "boxes.csv", *(f"{name},12,34" for name in names))
    assert read(tmp_path).classes == ("a", "b")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(InputError, match="no label column in label 1, label 2"):
        read(tmp_path)
    write(boxes, *rows(names, "abab"))
    assert read(tmp_path).classes == ("a", "b")


def test_a_text_file_that_cannot_be_read_is_no_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_images(tmp_path / name, 2)
    (tmp_path / "notes.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    assert read(tmp_path).classes == ("a", "b")
    said = capsys.readouterr().err
    assert "notes.txt: it cannot be read (No such file or directory), and is taken for no list of images" in said
    with pytest.raises(InputError, match=r"notes.txt"):
        read(tmp_path / "notes.txt")
