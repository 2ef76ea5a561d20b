"""Folders laid out in many ways: read rightly, said where it is not certain, or refused; nothing is lost silently."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.data.image_files import pixels, png, write_folder

from truelift.data import DataOptions, load
from truelift.data.folder import read_folder
from truelift.data.split_names import split_of
from truelift.errors import InputError


def found(root: Path) -> dict[str, int]:
    """Images of each split."""
    source = read_folder(root)
    listings = {"train": source.train, "validation": source.validation, "test": source.test}
    return {split: len(listing.labels) for split, listing in listings.items() if listing is not None}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Training", "training_set", "trainset", "TrainImages", "train2017")),
        *((name, "train") for name in ("seg_train", "ILSVRC2012_img_train", "TRAIN_DATA", "trn", "01-train")),
        *(
            (name, "validation")
            for name in ("val", "valset", "validation_set", "devel", "Validation images", "val2017")
        ),
        *((name, "test") for name in ("test", "Testing", "test_set", "testset", "TestData", "tst", "holdout", "eval")),
        *((name, None) for name in ("contest", "cat", "straining", "valley", "latest", "evaluator", "retrain")),
    ],
)
def test_words_of_splits(name: str, split: str | None) -> None:
    assert split_of(name, Path(name)) == split


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("training_set", "validation_set", "test_set"),
        ("TrainImages", "ValImages", "TestImages"),
        ("seg_train", "seg_dev", "seg_test"),
        ("trn", "vld", "tst"),
        ("train2017", "val2017", "test2017"),
    ],
)
def test_folders_of_splits(
    tmp_path: Path, train: str, validation: str, test: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate((train, validation, test)):
        write_folder(tmp_path / name, {"cat": 3 - number, "dog": 1})
    assert found(tmp_path) == {"train": 4, "validation": 3, "test": 2}
    assert read_folder(tmp_path).classes == ("cat", "dog")
    said = capsys.readouterr().err
    assert (f"{train} is read as the train split" in said) == (train != "trn")


def test_a_class_with_the_name_of_a_split_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path, {"car": 2, "plane": 2, "train": 3, "test tube": 1})
    assert read_folder(tmp_path).classes == ("car", "plane", "test tube", "train")
    assert "are read as classes, test tube, train too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ({"cat": 2, "dog": 2, "test": 2}, 'beside "test" must name a split .*got .*cat'),
        ({"train/a": 1, "train/b": 1, "extra/a": 1}, 'beside "train" must name a split .*got .*extra'),
        ({"val/a": 1, "val/b": 1, "test/a": 1}, "no folder is named for the training split .*test, val"),
        ({"train": 2, "test": 2}, "no image found: .*test holds no class folder"),
        ({"cat/train": 2, "cat/test": 1, "dog/train": 2, "dog/test": 1}, "must hold classes, not a class splits"),
        ({"train_val/a": 1, "train_val/b": 1}, "a name must tell one split, got train, validation in .*train_val"),
        ({"train/a": 1, "train/b": 1, "trainset/a": 1}, "two folders name the train split"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused(tmp_path: Path, folders: Mapping[str, int], message: str) -> None:
    write_folder(tmp_path, folders)
    with pytest.raises(InputError, match=message):
        read_folder(tmp_path)


def test_folds_are_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path, {f"fold{number}/{name}": 2 for number in (1, 2) for name in ("cat", "dog")})
    assert read_folder(tmp_path).classes == ("fold1", "fold2")
    assert (
        "(fold1, fold2) are read as classes, although each has the same folders (cat, dog)" in capsys.readouterr().err
    )


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", "__MACOSX", "@eaDir", ".thumbs", "$RECYCLE.BIN"])
def test_hidden_folders_are_no_data(tmp_path: Path, hidden: str) -> None:
    for split in ("train", "test"):
        write_folder(
            tmp_path / split, {"a": 3, "b": 2, f"a/{hidden}": 4, f"b/more/{hidden}": 1, hidden: 2, "b/more/x": 1}
        )
    write_folder(tmp_path, {f"{hidden}": 1})
    (tmp_path / "train" / "a" / "._000.png").write_bytes(b"")
    assert found(tmp_path) == {"train": 6, "test": 6}
    assert read_folder(tmp_path).classes == ("a", "b")


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", {"a": 3, "b": 2})
    write_folder(tmp_path, {"elsewhere": 4})
    (tmp_path / "data" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b" / "loop").symlink_to(tmp_path / "data" / "b")
    assert found(tmp_path / "data") == {"train": 9}


def test_images_beside_the_classes_are_told_or_counted(tmp_path: Path) -> None:
    for split, count in (("train", 5), ("test", 2)):
        write_folder(tmp_path / split, {"a": count, "b": count})
    for place in ("train/lost.png", "test/lost.jpg", "train/notes.txt", "train/.hidden.png"):
        (tmp_path / place).write_bytes(png(pixels(1)))
    options = {"name": "x", "path": str(tmp_path)}
    with pytest.raises(
        InputError, match=r"test/lost.jpg: an image must be in a class folder, 2 are beside them; --data"
    ):
        load(DataOptions(**options), split_seed=0)  # type: ignore[arg-type]
    splits = load(DataOptions(**options, on_error="skip"), split_seed=0)  # type: ignore[arg-type]
    assert splits.skipped == splits.skipped_images == 2
    streamed = load(DataOptions(**options, on_error="skip", stream=True, resize=4), split_seed=0)  # type: ignore[arg-type]
    assert streamed.skipped_images == 2


def test_images_that_cannot_be_decoded_are_not_passed_over(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "photo.heic").write_bytes(b"ftypheic")
    assert found(tmp_path) == {"train": 11}


def test_pipes_do_not_hang(tmp_path: Path) -> None:
    write_folder(tmp_path / "images", {"a": 50, "b": 50})
    os.mkfifo(tmp_path / "images" / "a" / "x.png")
    options = {"name": "x", "path": str(tmp_path / "images")}
    with pytest.raises(InputError, match=r"x.png: cannot decode the image \(no regular file\)"):
        load(DataOptions(**options, test_fraction=0.5), split_seed=0)  # type: ignore[arg-type]
    for stream in ({}, {"stream": True, "resize": 4, "workers": 0}):
        splits = load(DataOptions(**options, on_error="skip", **stream), split_seed=0)  # type: ignore[arg-type]
        assert splits.mean  # of photographs, decoded only now
        assert len(splits.train) + len(splits.test) + len(splits.validation or ()) in (100, 101)
    for name in ("pipe", "pipe.tar", "pipe.parquet"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=f"{name}: must be a regular file"):
            load(DataOptions(name="x", path=str(tmp_path / name)), split_seed=0)
    for ending in ("tar", "parquet"):
        (tmp_path / ending).mkdir()
        os.mkfifo(tmp_path / ending / f"train.{ending}")
        with pytest.raises(InputError, match=f"train.{ending}: must be a regular file"):
            load(DataOptions(name="x", path=str(tmp_path / ending)), split_seed=0)


def test_file_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "\x1b[2J\x07\n\u202egnp.png").write_bytes(b"broken")
    with pytest.raises(InputError) as raised:
        load(DataOptions(name="x", path=str(tmp_path), validation_fraction=0), split_seed=0)
    assert str(raised.value).isprintable()
    assert r"\x1b[2J\x07\n\u202egnp.png: cannot decode" in str(raised.value)


def test_every_folder_is_a_class_where_the_user_says_so(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/old": 2, "train/new": 1, "test": 3, "bus": 1})
    with pytest.raises(InputError, match='beside "train" must name a split'):
        load(DataOptions(name="x", path=str(tmp_path)), split_seed=0)
    splits = load(DataOptions(name="x", path=str(tmp_path), folders="classes", validation_fraction=0), split_seed=0)
    assert splits.classes == ("bus", "test", "train")
    assert len(splits.train) + len(splits.test) == 7
    with pytest.raises(InputError, match=r"data.path must be a folder for data.folders classes, got .*000.png"):
        load(DataOptions(name="x", path=str(tmp_path / "bus" / "000.png"), folders="classes"), split_seed=0)
    with pytest.raises(InputError, match=r"data.folders must be auto without data.path"):
        load(DataOptions(folders="classes"), split_seed=0)


def test_a_test_folder_without_classes_has_no_labels(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/a": 5, "train/b": 5, "test": 3})
    source = read_folder(tmp_path)
    assert source.test is None
    assert source.unlabelled is not None
    assert source.unlabelled.labels.tolist() == [-1] * 3
    assert source.left_out == ()
    with pytest.raises(InputError, match=r"test/000.png: the test set has no labels, so that it can be predicted and"):
        load(DataOptions(name="x", path=str(tmp_path)), split_seed=0)
