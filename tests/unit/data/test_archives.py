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
