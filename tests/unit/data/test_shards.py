import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from tests.unit.data.image_files import pixels, png

from truelift.data.columns import ColumnOptions
from truelift.data.decode import decode
from truelift.data.shards import read_shards
from truelift.errors import InputError


def write_tar(file: Path, members: dict[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def shard(file: Path, labels: list[int], first: int = 0) -> Path:
    """A shard where image i has the value i; the values identify the images."""
    members: dict[str, bytes] = {}
    for i, label in enumerate(labels, start=first):
        members |= {f"{i:06}.png": png(pixels(i)), f"{i:06}.cls": str(label).encode(), f"{i:06}.json": b"{}"}
    return write_tar(file, members)


def test_one_shard(tmp_path: Path) -> None:
    source = read_shards(shard(tmp_path / "test.tar", [0, 2, 2, 1]))
    assert source.classes == ("0", "1", "2")
    assert source.train.labels.tolist() == [0, 2, 2, 1]
    assert source.validation is source.test is None  # its name is no matter
    decoded, labels = decode(source.train, np.array([1, 3]))
    assert (decoded[:, 1, 1, 0].tolist(), labels.tolist()) == ([1, 3], [2, 1])
    assert source.train.place(3) == f"{tmp_path / 'test.tar'} member 000003"


def test_splits_and_names(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "train-000000.tar", [0, 1])
    shard(tmp_path / "data" / "train-000001.tar", [1, 1, 0], first=2)
    shard(tmp_path / "data" / "val-000000.tar", [1])
    (tmp_path / "classes.json").write_text('{"n01": "cat", "n02": "dog"}')
    source = read_shards(tmp_path)
    assert source.classes == ("cat", "dog")
    assert source.validation is not None
    assert (source.train.labels.tolist(), source.validation.labels.tolist()) == ([0, 1, 1, 1, 0], [1])
    with source.train.opener(4)() as image:  # in any order
        assert image.getpixel((1, 1)) == (4, 4, 4)
    with source.train.opener(0)() as image:
        assert image.getpixel((1, 1)) == (0, 0, 0)
    (tmp_path / "classes.txt").write_text("Katze\nHund\n")
    assert read_shards(tmp_path).classes == ("Katze", "Hund")


def test_keys_end_at_the_first_dot_of_the_name(tmp_path: Path) -> None:
    image = png(pixels(1))
    members = {"a.b/x.jpg": image, "a.b/x.cls": b"0", "y.JPG": image, "y.seg.png": image, "y.cls": b" 1\n"}
    source = read_shards(write_tar(tmp_path / "a.tar", members))
    assert source.train.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b""}, "a has an image but no a.cls"),
        ({"a.jpg": b"", "a.cls": b"0", "b.cls": b"1"}, r"b has a class but no image \(jpg"),
        ({"a.jpg": b"", "a.cls": b"cat"}, "a.cls must be a class number, got b'cat'"),
        ({"readme.txt": b""}, "no image found: .*a.tar holds no KEY.jpg"),
        ({"a.jpg": b"", "a.cls": b"0"}, 'at least two classes with training images, got only "0"'),
        ({"a.jpg": b"", "a.cls": b"-1"}, "member a: a label must be in 0"),
    ],
)
def test_bad_shards(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_shards(write_tar(tmp_path / "a.tar", members))


def test_files_that_are_no_tar(tmp_path: Path) -> None:
    file = shard(tmp_path / "a.tar", [0, 1])
    whole = file.read_bytes()
    for content in (b"", b"text" * 200, whole[:700]):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^cannot read {file} as an uncompressed tar file: .+"):
            read_shards(file)


def test_class_names_that_cannot_be_read(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", [0, 1])
    (tmp_path / "classes.json").write_text("{")
    with pytest.raises(InputError, match="cannot read the class names beside"):
        read_shards(tmp_path)


def test_a_class_that_training_lacks(tmp_path: Path) -> None:
    shard(tmp_path / "train.tar", [0, 1])
    shard(tmp_path / "test.tar", [0, 2])
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(InputError, match=r'test.tar member 000001: the test class "c" has no training image'):
        read_shards(tmp_path)


def test_names_go_by_number(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", [*range(12)])
    (tmp_path / "classes.json").write_text(json.dumps({str(i): f"class{i}" for i in range(12)}, sort_keys=True))
    assert read_shards(tmp_path).classes == tuple(f"class{i}" for i in range(12))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b"", "a.png": b"", "a.cls": b"0"}, "a has two images"),
        ({"a.jpg": b"", "a.cls": b"0", "a.CLS": b"1"}, "a has two classes"),
        ({"a.1.jpg": b"", "a.1.cls": b"0"}, "a.1.cls must be KEY.cls, with a key that has no dot"),
        ({"a.tif": b""}, "a has an image but no a.cls"),
        ({"a.jpg": b"", "a.cls": b"10000000", "b.jpg": b"", "b.cls": b"0"}, "must be in 0..99999 .*got 10000000"),
        ({"a.jpg": b"", "a.cls": b"9" * 30}, "a.cls must be a class number of at most 2147483647, got 9999"),
        ({"a.jpg": b"", "a.cls": b"9" * 100_000}, "a.cls must be a class number, got b'9999"),
        ({"a.jpg": b"", "a.cls": b"1_0"}, "a.cls must be a class number, got b'1_0'"),
    ],
)
def test_samples_that_would_be_lost_or_misread(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_shards(write_tar(tmp_path / "a.tar", members))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_members_that_are_no_files(tmp_path: Path, kind: bytes) -> None:
    file = shard(tmp_path / "a.tar", [0, 1])
    with tarfile.open(file, "a") as archive:
        member = tarfile.TarInfo("x.png")
        member.type, member.linkname = kind, "000000.png"
        archive.addfile(member)
    with pytest.raises(InputError, match=r"x.png must be a regular file, no link or the like"):
        read_shards(file)


def test_a_shard_that_ends_early_is_an_error_wherever_it_ends(tmp_path: Path) -> None:
    whole = shard(tmp_path / "whole.tar", [0, 1, 0, 1]).read_bytes()
    used = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    file = tmp_path / "a.tar"
    for length in (*range(512, used + 1, 512), used - 100, used - 513):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"^cannot read {file} as an uncompressed tar file: .+"):
            read_shards(file)
    for length in (used + 512, used + 1024, len(whole)):
        file.write_bytes(whole[:length])
        assert len(read_shards(file).train.labels) == 4


def test_what_comes_behind_the_end_or_after_damage_is_not_passed_over(tmp_path: Path) -> None:
    one, other = (shard(tmp_path / "a.tar", [0, 1], first=first).read_bytes() for first in (0, 2))
    file = tmp_path / "joined.tar"
    file.write_bytes(one + other)
    with pytest.raises(InputError, match="there is more behind its end mark"):
        read_shards(file)
    damaged = bytearray(one)
    damaged[1024 + 148 : 1024 + 156] = b"0000000\0"  # the second header's checksum
    file.write_bytes(bytes(damaged))
    with pytest.raises(InputError, match="it ends early, or is damaged"):
        read_shards(file)


@pytest.mark.parametrize("size", [-512, -1024, -(2**40), 2**62])
@pytest.mark.parametrize("number", [0, 2])
def test_sizes_that_cannot_be(tmp_path: Path, size: int, number: int) -> None:
    file = shard(tmp_path / "a.tar", [0, 1])
    content = bytearray(file.read_bytes())
    at = number * 1024  # each header here is followed by one block
    content[at + 124 : at + 136] = (size & (2**96 - 1)).to_bytes(12, "big")
    content[at + 124] = 0xFF if size < 0 else 0x80
    content[at + 148 : at + 156] = b" " * 8
    content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match=rf"^cannot read {file} as an uncompressed tar file: .+"):
        read_shards(file)


def test_hidden_deep_and_compressed_shards(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "train.tar", [0, 1])
    for hidden in ("._train.tar", ".ipynb_checkpoints/train-checkpoint.tar", "__MACOSX/train.tar"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"none")
    assert len(read_shards(tmp_path).train.labels) == 2
    (tmp_path / "train.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"train.tar.gz: a shard must be an uncompressed tar file"):
        read_shards(tmp_path)
    (tmp_path / "train.tar.gz").unlink()
    shard(tmp_path / "data" / "more" / "train.tar", [0, 1])
    with pytest.raises(InputError, match=r"more/train.tar: a file must be in .* or in a folder there, no deeper"):
        read_shards(tmp_path)


def samples(file: Path, labels: list[bytes], ending: str) -> Path:
    members: dict[str, bytes] = {}
    for i, label in enumerate(labels):
        members |= {f"{i:03}.png": png(pixels(i)), f"{i:03}.{ending}": label}
    return write_tar(file, members)


@pytest.mark.parametrize(
    ("ending", "labels", "classes", "numbers"),
    [
        ("json", [b'{"label": 2, "x": 1}', b'{"label": 0}', b'{"label": 1}'], ("0", "1", "2"), [2, 0, 1]),
        ("json", [b'{"class_name": "b"}', b'{"class_name": "a"}'], ("a", "b"), [1, 0]),
        ("json", [b'{"what": "b"}', b'{"what": "a"}'], ("a", "b"), [1, 0]),
        ("json", [b"1", b"0"], ("0", "1"), [1, 0]),
        ("json", [b"true", b"false"], ("false", "true"), [1, 0]),
        ("json", [b'{"tags": ["b", "a"]}', b'{"tags": []}', b'{"tags": ["b"]}'], ("a", "b"), [[1, 1], [0, 0], [0, 1]]),
        ("txt", [b"dog\n", b"cat", " Äffchen".encode()], ("cat", "dog", "Äffchen"), [1, 0, 2]),
        ("txt", [b"10", b"9"], ("9", "10"), [1, 0]),
    ],
)
def test_labels_beside_cls(
    tmp_path: Path,
    ending: str,
    labels: list[bytes],
    classes: tuple[str, ...],
    numbers: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = read_shards(samples(tmp_path / "a.tar", labels, ending))
    assert (source.classes, source.train.labels.tolist()) == (classes, numbers)
    assert f"labels are those in KEY.{ending}, of {len(classes)} classes" in capsys.readouterr().err


def test_the_key_of_json_that_is_wanted(tmp_path: Path) -> None:
    file = samples(tmp_path / "a.tar", [b'{"a": 0, "b": 1}', b'{"a": 1, "b": 1}'], "json")
    assert read_shards(file, ColumnOptions(label_column="a")).train.labels.tolist() == [0, 1]
    with pytest.raises(InputError, match=r"a.tar: 000.json: no label column in a, b; name it with --data.label_column"):
        read_shards(file)


@pytest.mark.parametrize(
    ("ending", "labels", "message"),
    [
        ("json", [b"{", b"1"], "000.json cannot be read"),
        ("json", [b"[" * 100_000, b"1"], "000.json cannot be read"),
        ("json", [b'{"label": null}', b'{"label": 1}'], "member 000: a label must be given, got none"),
        (
            "json",
            [b'{"label": 0.5}', b'{"label": 1}'],
            "member 000: a label must be a whole number, text, true or false",
        ),
        ("txt", [b"a\nb", b"c"], "000.txt must be one line, a class's name, got b'a"),
        ("txt", [b"\xff", b"c"], "000.txt must be one line, a class's name"),
        ("txt", [b"x" * 5000, b"c"], "000.txt must be one line, a class's name"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, ending: str, labels: list[bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_shards(samples(tmp_path / "a.tar", labels, ending))


def test_every_sample_has_its_label_of_one_kind(tmp_path: Path) -> None:
    members = {"a.png": png(pixels(0)), "a.txt": b"cat", "b.png": png(pixels(1)), "b.json": b"1"}
    with pytest.raises(InputError, match=r"a has an image but no a.json"):
        read_shards(write_tar(tmp_path / "a.tar", members))


def test_a_test_set_without_labels(tmp_path: Path) -> None:
    shard(tmp_path / "train.tar", [0, 1, 1])
    write_tar(tmp_path / "test.tar", {"0.png": png(pixels(7)), "1.png": png(pixels(8))})
    source = read_shards(tmp_path)
    assert source.test is None
    assert source.unlabelled is not None
    assert source.unlabelled.labels.tolist() == [-1, -1]
    write_tar(tmp_path / "test.tar", {"0.png": png(pixels(7)), "1.png": png(pixels(8)), "1.cls": b"0"})
    with pytest.raises(InputError, match=r"test.tar: 0 has an image but no 0.cls"):
        read_shards(tmp_path)


def test_a_test_set_of_minus_one_has_no_labels(tmp_path: Path) -> None:
    shard(tmp_path / "train.tar", [0, 1, 1])
    shard(tmp_path / "test.tar", [-1, -1], first=3)
    source = read_shards(tmp_path)
    assert source.test is None
    assert source.unlabelled is not None
    assert source.unlabelled.labels.tolist() == [-1, -1]
