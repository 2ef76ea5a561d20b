"""Zip and tar files of class folders: read as the folders are, and hostile ones refused."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.unit.data.image_files import pixels, png

from truelift.data import DataOptions, Photographs, load
from truelift.data.decode import decode
from truelift.data.listing import Source
from truelift.data.loading import find_source
from truelift.errors import InputError

FOLDERS = {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 1}


def members(folders: Mapping[str, int], top: str = "") -> dict[str, bytes]:
    """Images numbered through, image i of the value 10·i; and what is no data."""
    found: dict[str, bytes] = {}
    for folder, count in folders.items():
        for i in range(count):
            found[f"{top}{folder}/{i}.png"] = png(pixels(10 * len(found) % 256))
    return {**found, "__MACOSX/._1.png": b"x", f"{top}notes.txt": b"hello", f"{top}train/.hidden.png": b"x"}


def write_zip(file: Path, content: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file


def write_tar(file: Path, content: Mapping[str, bytes]) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def read(path: Path) -> Source:
    return find_source(DataOptions(name="mine", path=str(path)))


@pytest.mark.parametrize("top", ["", "photos/", "./deep/photos/"])
@pytest.mark.parametrize("kind", ["stored.zip", "deflated.zip", "a.tar"])
def test_as_the_folders(tmp_path: Path, kind: str, top: str) -> None:
    content = members(FOLDERS, top)
    if kind == "a.tar":
        file = write_tar(tmp_path / kind, content)
    else:
        file = write_zip(tmp_path / kind, content, zipfile.ZIP_STORED if "stored" in kind else zipfile.ZIP_DEFLATED)
    source = read(file)
    assert source.classes == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert source.test is not None
    assert source.test.labels.tolist() == [0, 1]
    assert decode(source.train, np.array([0, 2, 4]))[0][:, 1, 1, 0].tolist() == [0, 20, 40]
    assert decode(source.test, np.array([1]))[0][0, 1, 1, 0] == 60
    assert source.train.place(0).endswith(f"{kind} member {top}train/cat/0.png")
    assert source.train.files() == [str(file)]
    with source.train.opener(3)() as image:
        assert image.getpixel((1, 1)) == (30, 30, 30)


def test_an_archive_trains_streamed_and_decoded(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", members({"x/cat": 10, "x/dog": 10}))
    splits = load(DataOptions(name="a", path=str(file)), split_seed=0)
    assert splits.validation is not None
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 20
    streamed = load(DataOptions(name="a", path=str(file), stream=True, resize=4, workers=0), split_seed=0)
    assert isinstance(streamed.train, Photographs)
    assert splits.state == streamed.state


def test_class_folders_of_any_name_and_images_beside_them(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", {**members({"bus": 2, "train": 3}), "lost.png": png(pixels(1))})
    source = read(file)
    assert (source.classes, source.left_out) == (("bus", "train"), ("lost.png",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../a/x.png", "must be a path within the archive, got '../a/x.png'"),
        ("a/../../x.png", "must be a path within the archive"),
        ("/a/x.png", "must be a path within the archive"),
        ("a\\x.png", "must be a path within the archive"),
        ("C:/x.png", "must be a path within the archive"),
        ("./cat/0.png", "cat/0.png must be there once, got it twice"),
    ],
)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_that_lead_astray(tmp_path: Path, write: object, name: str, message: str) -> None:
    content = {"cat/0.png": png(pixels(1)), "dog/0.png": png(pixels(2)), name: png(pixels(3))}
    file = write(tmp_path / ("a.zip" if write is write_zip else "a.tar"), content)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        read(file)


def test_zip_members_that_are_no_plain_files(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/0.png", b"")
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match=r"cat/link.png must be a regular file, no link or the like"):
        read(file)
    write_zip(file, members({"cat": 1, "dog": 1}), zipfile.ZIP_BZIP2)
    with pytest.raises(InputError, match=r"cat/0.png must be stored or deflated, got method 12"):
        read(file)
    encrypted = bytearray(write_zip(file, members({"cat": 1, "dog": 1})).read_bytes())
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(bytes(encrypted))
    with pytest.raises(InputError, match=r"cat/0.png must not be encrypted"):
        read(file)


def test_zip_bombs(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", {"cat/0.png": bytes(1 << 16), "dog/0.png": b"x"})
    whole = file.read_bytes()
    at = whole.index(b"PK\x01\x02") + 24  # the first size in the central directory
    for claimed, told in ((1 << 30, "must have 268435456 bytes at most"), (100, None), (1 << 20, None)):
        content = bytearray(whole)
        content[at : at + 4] = claimed.to_bytes(4, "little")
        file.write_bytes(bytes(content))
        if told is not None:
            with pytest.raises(InputError, match=told):
                read(file)
            continue
        with pytest.raises(InputError, match=rf"a member has not the {claimed} bytes that it claims"):
            decode(read(file).train, np.array([0]))


def test_damaged_zip_files(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "a.zip", members({"cat": 2, "dog": 2}), zipfile.ZIP_STORED)
    whole = file.read_bytes()
    for content in (b"", b"text" * 300, whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^cannot read {file} as a zip file: .+"):
            read(file)
    damaged = bytearray(whole)
    damaged[60] ^= 0xFF  # within the first image
    file.write_bytes(bytes(damaged))
    with pytest.raises(
        InputError, match=r"member cat/0.png: cannot decode the image \(the archive is damaged: .*check"
    ):
        decode(read(file).train, np.arange(4))
    assert len(decode(read(file).train, np.arange(4), on_error="skip")[1]) == 3
    damaged[:4] = b"XXXX"
    file.write_bytes(bytes(damaged))
    with pytest.raises(InputError, match=r"a member does not begin where it should"):
        decode(read(file).train, np.arange(4))


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.xz"])
def test_compressed_tar_files(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"")
    with pytest.raises(InputError, match=rf"a.{ending}: a tar file must be uncompressed, .*unpack it, or make a zip"):
        read(tmp_path / f"a.{ending}")


def test_tar_files_of_folders_with_links(tmp_path: Path) -> None:
    file = write_tar(tmp_path / "a.tar", members({"cat": 2, "dog": 2}))
    with tarfile.open(file, "a") as archive:
        link = tarfile.TarInfo("cat/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "0.png"
        archive.addfile(link)
    with pytest.raises(InputError, match=r"cat/link.png must be a regular file, no link or the like"):
        read(file)


def test_two_images_of_one_stem_are_two_in_folders(tmp_path: Path) -> None:
    content = {"cat/0.png": png(pixels(1)), "cat/0.jpg": png(pixels(2)), "dog/0.png": png(pixels(3))}
    assert read(write_tar(tmp_path / "a.tar", content)).train.labels.tolist() == [0, 0, 1]


def write_archive(file: Path, content: Mapping[str, bytes]) -> Path:
    return write_tar(file, content) if file.suffix == ".tar" else write_zip(file, content)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("inner", ["", "{stem}/", "photos/"])
def test_an_archive_for_each_split(tmp_path: Path, kind: str, inner: str) -> None:
    counts = {"train": {"cat": 3, "dog": 2}, "val": {"cat": 1, "dog": 1}, "test": {"cat": 2}}
    for stem, folders in counts.items():
        write_archive(tmp_path / f"{stem}.{kind}", members(folders, inner.format(stem=stem)))
    source = read(tmp_path)
    assert source.classes == ("cat", "dog")
    assert source.validation is not None
    assert source.test is not None
    assert [part.labels.tolist() for part in (source.train, source.validation, source.test)] == [
        [0, 0, 0, 1, 1],
        [0, 1],
        [0, 0],
    ]
    place = f"{tmp_path / 'train'}.{kind} member {inner.format(stem='train')}dog/0.png"
    assert source.train.place(3) == place
    assert source.train.files() == [str(tmp_path / f"train.{kind}")]
    assert decode(source.train, np.arange(5))[0][:, 1, 1, 0].tolist() == [0, 10, 20, 30, 40]
    assert decode(source.test, np.arange(2))[0][:, 1, 1, 0].tolist() == [0, 10]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_several_parts_of_one_split(tmp_path: Path, kind: str) -> None:
    whole = members({"cat": 3, "dog": 4})
    names = [*whole]
    (tmp_path / "parts").mkdir()
    for number, chosen in enumerate((names[:2], names[2:5], names[5:7])):
        content = {name: whole[name] for name in chosen}
        write_archive(tmp_path / "parts" / f"train-{number}.{kind}", content)
    source = read(tmp_path / "parts")
    assert source.classes == ("cat", "dog")
    assert source.test is None
    assert source.train.labels.tolist() == [0] * 3 + [1] * 4
    assert decode(source.train, np.arange(7))[0][:, 1, 1, 0].tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert len(source.train.files()) == 3
    one = read(write_archive(tmp_path / f"one.{kind}", whole))
    assert one.train.labels.tolist() == source.train.labels.tolist()


def test_an_archive_for_each_class_and_splits_within_parts(tmp_path: Path) -> None:
    (tmp_path / "classes").mkdir()
    for name in ("cat", "dog"):
        write_zip(tmp_path / "classes" / f"{name}.zip", members({name: 2}))
    assert read(tmp_path / "classes").classes == ("cat", "dog")
    (tmp_path / "parts").mkdir()
    for number, folder in enumerate(("train/cat", "train/dog", "test/dog")):
        write_zip(tmp_path / "parts" / f"data{number}.zip", members({folder: 2}, f"data{number}/"))
    source = read(tmp_path / "parts")
    assert source.test is not None
    assert (source.train.labels.tolist(), source.test.labels.tolist()) == ([0, 0, 1, 1], [1, 1])


@pytest.mark.parametrize("top", ["", "test/"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_a_test_set_without_labels(tmp_path: Path, kind: str, top: str) -> None:
    write_archive(tmp_path / f"train.{kind}", members({"cat": 3, "dog": 2}))
    write_archive(tmp_path / f"test.{kind}", {f"{top}{i}.png": png(pixels(i)) for i in range(3)})
    source = read(tmp_path)
    assert source.test is None
    assert source.unlabelled is not None
    assert source.unlabelled.labels.tolist() == [-1] * 3
    assert source.unlabelled.place(2).endswith(f"test.{kind} member {top}2.png")


def test_the_digest_of_several_archives(tmp_path: Path) -> None:
    states = []
    for folder, shift in (("one", 0), ("two", 0), ("three", 1)):
        (tmp_path / folder).mkdir()
        write_zip(tmp_path / folder / "train.zip", members({"cat": 10, "dog": 10}))
        write_zip(tmp_path / folder / "test.zip", {"cat/0.png": png(pixels(1)), "dog/0.png": png(pixels(2 + shift))})
        options = DataOptions(name="x", path=str(tmp_path / folder))
        splits = load(options, split_seed=0)
        states.append(splits.state)
        assert (len(splits.test), splits.skipped) == (2, 0)
    assert states[0] == states[1] != states[2]


def test_what_could_be_meant_otherwise_of_several_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = members({"cat": 2, "dog": 2}), {"cat/0.png": png(pixels(1)), "lost.png": png(pixels(1))}
    write_zip(tmp_path / "train.zip", train)
    write_zip(tmp_path / "test.zip", test)
    assert read(tmp_path).left_out == ("test.zip/lost.png",)
    write_zip(tmp_path / "extra.zip", train)
    with pytest.raises(InputError, match=r"a file beside those of named splits must name its split too, got .*extra.z"):
        read(tmp_path)
    (tmp_path / "extra.zip").rename(tmp_path / "train-1.zip")
    with pytest.raises(InputError, match=r"train.zip: cat/0.png must be there once, it is in .*train-1.zip too"):
        read(tmp_path)
    (tmp_path / "train-1.zip").unlink()
    write_zip(tmp_path / "test.zip", {"fox/0.png": png(pixels(1))})
    with pytest.raises(InputError, match=r'test.zip/fox: class "fox" has no folder in the training split'):
        read(tmp_path)
    write_tar(tmp_path / "train.tar", members({"cat": 1}))
    with pytest.raises(InputError, match=r"data.path must hold tar files or zip files, not both, got .*tar and .*zip"):
        read(tmp_path)
    (tmp_path / "train.tar").rename(tmp_path / "test.tar.gz")
    with pytest.raises(InputError, match=r"test.tar.gz: a tar file must be uncompressed"):
        read(tmp_path)
    (tmp_path / "test.tar.gz").unlink()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.png").write_bytes(png(pixels(1)))
    with pytest.raises(InputError, match=r"must hold images or zip files of them, not both, got .*0.png and .*\.zip"):
        read(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(png(pixels(1)))
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images").rmdir()
    assert read(tmp_path).classes == ("cat", "dog")
    assert "class folders are read, not test.zip; to read it, give it as data.path" in capsys.readouterr().err


def one_class(name: str, count: int, first: int = 0) -> dict[str, bytes]:
    return {f"{name}/{first + i}.png": png(pixels(first + i)) for i in range(count)}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_one_class_in_a_folder_of_a_split(tmp_path: Path, kind: str) -> None:
    for split, count in (("train", 3), ("test", 1)):
        (tmp_path / split).mkdir()
        for name in ("cats", "dogs"):
            write_archive(tmp_path / split / f"{name}.{kind}", one_class(name, count))
    for whole in (False, True):
        if whole:  # the training set in one
            for name in ("cats", "dogs"):
                (tmp_path / "train" / f"{name}.{kind}").unlink()
            write_archive(tmp_path / f"train.{kind}", {**one_class("cats", 3), **one_class("dogs", 3)})
        source = read(tmp_path)
        assert source.test is not None
        assert (source.classes, source.unlabelled, source.left_out) == (("cats", "dogs"), None, ())
        assert (source.train.labels.tolist(), source.test.labels.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 1])


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_of_one_class_beside_one_of_the_others(tmp_path: Path, kind: str) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_archive(tmp_path / split / f"a.{kind}", one_class("a", 2))
        write_archive(tmp_path / split / f"rest.{kind}", {**one_class("b", 1), **one_class("c", 1)})
    source = read(tmp_path)
    assert (source.classes, source.train.labels.tolist(), source.left_out) == (("a", "b", "c"), [0, 0, 1, 2], ())


def test_zip_files_in_subfolders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = {**one_class("cat", 2), **one_class("dog", 2)}
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_zip(tmp_path / split / f"{split[0]}.zip", both)
    source = read(tmp_path)
    assert source.test is not None
    assert (source.train.labels.tolist(), source.test.labels.tolist()) == ([0, 0, 1, 1], [0, 0, 1, 1])
    (tmp_path / "train" / "t.zip").rename(tmp_path / "train.zip")  # with one in the folder, those of splits alone
    (tmp_path / "old").mkdir()
    write_zip(tmp_path / "old" / "backup.zip", both)
    capsys.readouterr()
    source = read(tmp_path)
    assert source.test is not None
    assert len(source.train.files()) == len(source.test.files()) == 1
    assert (
        "the zip files in the folder itself are read, not old/backup.zip; to read it, give it as data.path"
        in capsys.readouterr().err
    )
    (tmp_path / "train.zip").rename(tmp_path / "old" / "train.zip")
    with pytest.raises(InputError, match=r"a file beside those of named splits must name its split too, got .*backup"):
        read(tmp_path)


def test_zip_files_among_images_are_none_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bus", "train"):  # a class with the name of a split
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(png(pixels(1)))
    write_zip(tmp_path / "bus" / "originals.zip", one_class("bus", 2))
    assert read(tmp_path).classes == ("bus", "train")
    assert "originals" not in capsys.readouterr().err


def test_tar_files_beside_zip_files_that_are_no_part(tmp_path: Path) -> None:
    write_tar(tmp_path / "train.tar", {**one_class("cat", 2), **one_class("dog", 2)})
    (tmp_path / "old").mkdir()
    write_zip(tmp_path / "old" / "backup.zip", one_class("cat", 1))
    assert len(read(tmp_path).train.labels) == 4
    (tmp_path / "old").rename(tmp_path / "test")
    with pytest.raises(InputError, match=r"data.path must hold tar files or zip files, not both, got .*tar and .*back"):
        read(tmp_path)
