import io
import os
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.data.image_files import pixels, png, write_classes, write_folder, write_parquet

from truelift.data import DataOptions, ImageSet, Splits, load
from truelift.data.photographs import Photographs
from truelift.errors import InputError


def tensor(images: ImageSet | Photographs) -> torch.Tensor:
    assert isinstance(images, ImageSet)
    return images.images


def identities(images: ImageSet | Photographs) -> set[int]:
    """The value that `write_classes` and `write_folder` gave each image."""
    return set(tensor(images)[:, 0, 1, 1].tolist())


def hashes(images: ImageSet | Photographs) -> list[int]:
    return [hash(image.numpy().tobytes()) for image in tensor(images)]


def counts(images: ImageSet | Photographs) -> list[int]:
    found: list[int] = torch.bincount(images.labels).tolist()
    return found


@pytest.fixture
def one_set(tmp_path: Path) -> str:
    """40 cats and 60 dogs without validation and test set."""
    return str(write_classes(tmp_path / "all.parquet", [0, 1, 1, 0, 1] * 20))


def options(path: str, **changes: object) -> DataOptions:
    return DataOptions(name="pets", path=path, **changes)  # type: ignore[arg-type]


def test_digits_is_the_default() -> None:
    splits = load(DataOptions(), split_seed=0)
    assert tensor(splits.train).shape[1:] == (1, 8, 8)
    assert tensor(splits.train).is_contiguous(memory_format=torch.channels_last)
    assert splits.validation is not None
    # 1,797 images: 0.2 is 359.4, and 0.1 of the other 1,438 is 143.8.
    assert [len(x) for x in (splits.train, splits.validation, splits.test)] == [1294, 144, 359]
    assert splits.classes == tuple("0123456789")
    assert (tensor(splits.train).min().item(), tensor(splits.train).max().item()) == (0, 255)


def test_splits_are_stratified_and_disjoint(one_set: str) -> None:
    splits = load(options(one_set), split_seed=0)
    assert splits.validation is not None
    parts = [splits.train, splits.validation, splits.test]
    assert [counts(part) for part in parts] == [[29, 43], [3, 5], [8, 12]]  # 8 of 32 and 48: shares 3.2 and 4.8
    assert sum(len(identities(part)) for part in parts) == len(set.union(*map(identities, parts))) == 100
    assert splits.skipped == 0


@given(seed=st.integers(-(2**70), 2**70), train_images=st.one_of(st.none(), st.integers(20, 80)))
@settings(deadline=None, max_examples=15)
def test_the_test_set_is_the_same_whatever_the_seed(seed: int, train_images: int | None) -> None:
    expected = hashes(load(DataOptions(test_images=50, train_images=20), split_seed=0).test)
    got = load(DataOptions(test_images=50, train_images=train_images), split_seed=seed)
    assert hashes(got.test) == expected


def test_the_seed_changes_the_rest_and_the_option_overrides_it(one_set: str) -> None:
    def chosen(option_seed: int | None, split_seed: int) -> tuple[frozenset[int], frozenset[int]]:
        splits = load(options(one_set, train_images=50, split_seed=option_seed), split_seed=split_seed)
        assert splits.validation is not None
        return frozenset(identities(splits.train)), frozenset(identities(splits.validation))

    assert len({chosen(None, seed)[0] for seed in range(4)}) == 4
    assert len({chosen(None, seed)[1] for seed in range(4)}) == 4
    assert chosen(3, 0) == chosen(3, 1) == chosen(None, 3)


def test_own_validation_and_test_are_kept_whole(tmp_path: Path) -> None:
    write_classes(tmp_path / "train.parquet", [0, 1] * 10)
    write_classes(tmp_path / "valid.parquet", [0, 1, 1])
    write_classes(tmp_path / "test.parquet", [0, 0, 1, 1, 1])
    splits = load(options(str(tmp_path), train_images=6), split_seed=0)
    assert splits.validation is not None
    assert [counts(x) for x in (splits.train, splits.validation, splits.test)] == [[3, 3], [1, 2], [2, 3]]


def test_validation_but_no_test(tmp_path: Path) -> None:
    write_classes(tmp_path / "train.parquet", [0, 1] * 10)
    write_classes(tmp_path / "valid.parquet", [0, 1, 1])
    splits = load(options(str(tmp_path)), split_seed=0)
    assert splits.validation is not None
    assert [counts(x) for x in (splits.train, splits.validation, splits.test)] == [[8, 8], [1, 2], [2, 2]]


def test_counts_chosen(one_set: str) -> None:
    splits = load(options(one_set, train_images=10, test_images=5, validation_fraction=0.2), split_seed=0)
    assert splits.validation is not None
    # 10 are 4 and 6; of those, 2 are cut: shares 0.8 and 1.2.
    assert [counts(x) for x in (splits.train, splits.validation, splits.test)] == [[3, 5], [1, 1], [2, 3]]


def test_no_validation(one_set: str) -> None:
    assert load(options(one_set, validation_fraction=0.0), split_seed=0).validation is None


def test_the_last_images_as_validation(one_set: str) -> None:
    """Image i of `one_set` has the value i + 1."""
    for seed in (0, 1):
        splits = load(options(one_set, validation_images=20), split_seed=seed)
        assert splits.validation is not None
        chosen = sorted(identities(splits.train) | identities(splits.validation))  # the test images are cut off first
        assert (len(chosen), len(splits.validation)) == (80, 20)
        assert sorted(identities(splits.validation)) == chosen[-20:]
    few = load(options(one_set, train_images=30, validation_images=10), split_seed=0)
    assert few.validation is not None
    assert (len(few.train), len(few.validation)) == (20, 10)
    assert max(identities(few.train)) < min(identities(few.validation))


def test_the_last_images_are_refused_where_they_do_not_fit(tmp_path: Path) -> None:
    write_folder(tmp_path / "sorted" / "train", {"a": 5, "b": 5})
    write_folder(tmp_path / "sorted" / "test", {"a": 2, "b": 2})
    with pytest.raises(InputError, match=r'sorted by class needs data.validation_fraction.*5 of 10: none of class "b"'):
        load(options(str(tmp_path / "sorted"), validation_images=5), split_seed=0)
    write_classes(tmp_path / "three" / "train.parquet", [0, 1] * 10)
    write_classes(tmp_path / "three" / "valid.parquet", [0, 1, 1])
    with pytest.raises(InputError, match=r"validation_images must be left out where the data has a validation set"):
        load(options(str(tmp_path / "three"), validation_images=5), split_seed=0)


def test_folder_with_resize(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", {"a": 5, "b": 5}, side=12)
    write_folder(tmp_path / "test", {"a": 2, "b": 2}, side=20)
    splits = load(options(str(tmp_path), resize=6), split_seed=0)
    assert tensor(splits.train).shape[1:] == tensor(splits.test).shape[1:] == (3, 6, 6)
    with pytest.raises(InputError, match=r"one size, got train 12x12, test 20x20, .*--data.resize"):
        load(options(str(tmp_path)), split_seed=0)


def test_one_colour_image_makes_every_split_rgb(tmp_path: Path) -> None:
    images = [png(pixels(i, channels=1)) for i in range(20)]
    write_parquet(tmp_path / "train.parquet", images, {"y": [0, 1] * 10})
    write_parquet(tmp_path / "test.parquet", images[:4], {"y": [0, 1] * 2})
    assert tensor(load(options(str(tmp_path)), split_seed=0).train).shape[1] == 1
    write_parquet(tmp_path / "test.parquet", [png(pixels(3)), *images[:3]], {"y": [0, 1] * 2})
    splits = load(options(str(tmp_path)), split_seed=0)
    assert tensor(splits.train).shape[1] == tensor(splits.test).shape[1] == 3
    assert torch.equal(tensor(splits.train)[:, 0], tensor(splits.train)[:, 2])


def test_skipped_images_are_counted(tmp_path: Path) -> None:
    images = [png(pixels(i)) for i in range(20)]
    images[3] = images[8] = b"broken"
    file = write_parquet(tmp_path / "a.parquet", images, {"y": [0, 1] * 10})
    with pytest.raises(InputError, match=rf"{file} row [38]: cannot decode"):
        load(options(str(file)), split_seed=0)
    splits = load(options(str(file), on_error="skip"), split_seed=0)
    assert splits.validation is not None
    assert splits.skipped == 2
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 18


def test_a_class_without_a_decodable_image(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [png(pixels(1)), b"", b""], {"y": [0, 1, 1]}, names={"y": ["a", "b"]})
    write_parquet(tmp_path / "test.parquet", [png(pixels(1))], {"y": [0]}, names={"y": ["a", "b"]})
    with pytest.raises(InputError, match=r'no training image of class "b" can be decoded'):
        load(options(str(tmp_path), on_error="skip", validation_fraction=0.0), split_seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_fraction": 1.0}, r"data.validation_fraction must be in \[0, 1\), got 1.0"),
        ({"validation_fraction": -0.1}, r"data.validation_fraction must be in \[0, 1\), got -0.1"),
        ({"validation_fraction": 0.001}, r"data.validation_fraction=0.001: .*no image can be cut off 80 .*is none"),
        ({"test_fraction": 0.0}, r"data.test_fraction must be in \(0, 1\), got 0.0"),
        ({"test_fraction": 1.0}, r"data.test_fraction must be in \(0, 1\), got 1.0"),
        ({"test_fraction": float("nan")}, r"data.test_fraction must be in \(0, 1\), got nan"),
        ({"resize": 0}, "data.resize must be at least 1, got 0"),
        ({"resize": 10**9}, "data.resize must be at most 65536, got 1000000000"),
        ({"train_images": 0}, "data.train_images must be at least 1, got 0"),
        ({"train_images": 1}, r"data.train_images must be in 2..80 \(one a class, all there are\), got 1"),
        ({"train_images": 81}, "data.train_images must be in 2..80 .*got 81"),
        ({"train_images": 2}, "data.validation_fraction=0.1: .*each class has only one"),
        ({"validation_images": 0}, "data.validation_images must be at least 1, got 0"),
        ({"validation_images": 80}, "data.validation_images must leave training images .*got 80 of 80"),
        (
            {"validation_images": 8, "validation_fraction": 0.2},
            "data.validation_images must be left out with data.validation_fraction: .*got 8",
        ),
        ({"stream": True}, "data.resize must be given with data.stream, got none"),
        ({"workers": 2}, "data.workers must be left out without data.stream, got 2"),
        ({"stream": True, "resize": 8, "workers": -1}, "data.workers must be at least 0, got -1"),
        ({"evaluation_crop": 0.0}, r"data.evaluation_crop must be in \(0, 1\], got 0.0"),
        ({"progressive": ()}, "data.progressive must be 1 to 1000 sides"),
        (
            {"stream": True, "resize": 8, "progressive": (0, 8)},
            r"data.progressive must be at least 1, got \(0, 8\)",
        ),
        ({"test_images": 0}, "data.test_images must be at least 1, got 0"),
        ({"test_images": 21}, "data.test_images must be at most 20, all there are, got 21"),
    ],
)
def test_bad_options(one_set: str, changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(options(one_set, **changes), split_seed=0)


def test_one_image_a_class_cannot_be_split(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(InputError, match=r"data.test_fraction=0.2: no test set in the data, .*each class has only one"):
        load(options(str(tmp_path)), split_seed=0)


def test_names_and_paths_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'unknown data set "cifar11". Did you mean "cifar10"'):
        load(DataOptions(name="cifar11"), split_seed=0)
    with pytest.raises(InputError, match=r"data.path must be an existing file or folder, got .*nowhere"):
        load(options(str(tmp_path / "nowhere")), split_seed=0)
    with pytest.raises(InputError, match=r'data.name must name what data.path holds .*got "digits"'):
        load(DataOptions(path=str(tmp_path)), split_seed=0)
    for name, message in (
        ("notes", r"cannot read .*notes as parquet"),
        ("notes.txt", r"notes.txt row 1: a list must have an image's file name and its label a line, got 'no parquet'"),
    ):
        (tmp_path / name).write_text("no parquet")
        with pytest.raises(InputError, match=message):
            load(options(str(tmp_path / name)), split_seed=0)


def test_streams_are_split_like_images_in_memory(one_set: str) -> None:
    wanted = {"train_images": 50, "validation_fraction": 0.2}
    decoded = load(options(one_set, **wanted), split_seed=3)
    streamed = load(options(one_set, **wanted, stream=True, resize=4, evaluation_crop=1.0, workers=0), split_seed=3)
    assert streamed.classes == decoded.classes
    for split in ("train", "validation", "test"):
        one, other = getattr(streamed, split), getattr(decoded, split)
        assert one.shape == other.shape
        assert torch.equal(one.labels, other.labels)
        squares = torch.stack([one.centre(number) for number in range(len(one))])
        assert torch.equal(squares.permute(0, 3, 1, 2), other.images)
    assert streamed.mean == decoded.mean
    assert streamed.std == decoded.std


def test_the_digits_are_not_streamed() -> None:
    with pytest.raises(InputError, match=r"data.stream must be false for the digits, got true"):
        load(DataOptions(stream=True, resize=8), split_seed=0)


def test_shards_are_found(tmp_path: Path) -> None:
    images = {
        f"{i}.{ending}": png(pixels(i)) if ending == "png" else b"%d" % (i % 2)
        for i in range(20)
        for ending in ("png", "cls")
    }
    with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
        for name, content in images.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    for path in (tmp_path, tmp_path / "train-0.tar"):
        assert counts(load(options(str(path), validation_fraction=0.0), split_seed=0).train) == [8, 8]


def write_cifar100(root: Path) -> None:
    for split, n in (("train", 20), ("test", 4)):
        labels = {"fine_label": [0, 1] * (n // 2), "coarse_label": [0] * n}
        names = {"fine_label": ["apple", "bear"], "coarse_label": ["fruit", "animals"]}
        images = [png(pixels(i)) for i in range(n)]
        file = root / "cifar100" / f"{split}-00000-of-00001.parquet"
        write_parquet(file, images, labels, names=names, image_column="img")


def test_a_named_set_comes_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path)
    calls = []

    def snapshot_download(repository: str, **arguments: object) -> str:
        calls.append((repository, arguments))
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    splits = load(DataOptions(name="cifar100"), split_seed=0)
    assert calls == [("uoft-cs/cifar100", {"repo_type": "dataset", "allow_patterns": "*.parquet"})]
    assert splits.classes == ("apple", "bear")
    assert len(splits.test) == 4


def test_a_named_set_reads_a_path_with_its_own_defaults(tmp_path: Path) -> None:
    write_cifar100(tmp_path)
    assert load(DataOptions(name="cifar100", path=str(tmp_path)), split_seed=0).classes == ("apple", "bear")
    with pytest.raises(InputError, match=r"more than one label"):
        load(DataOptions(name="fruits", path=str(tmp_path)), split_seed=0)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # importing it then fails
    with pytest.raises(InputError, match=r"uoft-cs/cifar10 .*pip install 'truelift\[hf\]'.*--data.path"):
        load(DataOptions(name="cifar10"), split_seed=0)


def test_a_failed_download_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repository: str, **arguments: object) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(InputError, match=r"^cannot download ylecun/mnist: no route to host\. .*--data.path"):
        load(DataOptions(name="mnist"), split_seed=0)


@pytest.mark.skipif("TRUELIFT_REAL_DATA" not in os.environ, reason="TRUELIFT_REAL_DATA does not name a folder")
def test_real_cifar10() -> None:
    path = os.path.join(os.environ["TRUELIFT_REAL_DATA"], "cifar10")
    splits: Splits = load(DataOptions(name="cifar10", path=path, test_images=100), split_seed=0)
    assert tensor(splits.train).shape == (45_000, 3, 32, 32)
    assert splits.classes[3] == "cat"
    assert splits.mean == pytest.approx((0.491, 0.482, 0.447), abs=0.002)
