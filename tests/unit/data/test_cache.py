"""What is kept on disk is what was made, whatever happens to the files; without a folder everything is made."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.data.image_files import pixels, png, write_classes, write_folder, write_parquet

from truelift.data import DataOptions, Splits, cache, decoded, load, preprocessing
from truelift.data.cache import Arrays, kept
from truelift.data.preprocessing import Whitening
from truelift.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which all is kept that was made at all."""
    monkeypatch.setenv("TRUELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRUELIFT_CACHE_GIB", raising=False)
    monkeypatch.setattr(cache, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(cache, "_told", set())
    return tmp_path / "cache"


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self, size: int = 5000) -> None:
        self.calls = 0
        self.expected = np.arange(size, dtype=np.int64) * 7

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"numbers": self.expected.copy(), "few": np.array([[1.5, -2.0]], dtype=np.float32)}

    def check(self, arrays: Arrays) -> None:
        np.testing.assert_array_equal(arrays["numbers"], self.expected)
        assert arrays["few"].tolist() == [[1.5, -2.0]]
        assert (arrays["numbers"].dtype, arrays["few"].dtype) == (np.int64, np.float32)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_made_once_for_what_it_is_about() -> None:
    make = Maker()
    for _ in range(3):
        make.check(kept({"a": 1}, make))
    assert make.calls == 1
    kept({"a": 2}, make)
    assert make.calls == 2


def test_what_is_read_may_be_written_to_and_stays_as_it_was() -> None:
    make = Maker()
    kept({}, make)["numbers"][:] = 0
    kept({}, make)["numbers"][:] = 1
    make.check(kept({}, make))
    assert make.calls == 1


@pytest.mark.parametrize("place", [0.001, 0.3, 0.999, "short", "long", "empty", "header", "other"])
def test_a_damaged_file_is_made_again(folder: Path, place: object, capsys: pytest.CaptureFixture[str]) -> None:
    make = Maker()
    kept({"a": 1}, make)
    (file,) = files(folder)
    content = bytearray(file.read_bytes())
    if isinstance(place, float):
        content[int(place * len(content))] ^= 1
    elif place == "short":
        del content[-1:]
    elif place == "long":
        content += b"\0"
    elif place == "empty":
        content.clear()
    elif place == "header":
        content[:2] = b"[]"
    else:  # a whole file, of something else
        kept({"a": 2}, Maker(100))
        (of_other,) = (each for each in files(folder) if each != file)
        content = bytearray(of_other.read_bytes())
    file.write_bytes(content)
    make.check(kept({"a": 1}, make))
    make.check(kept({"a": 1}, make))
    assert make.calls == 2
    assert capsys.readouterr().err.count("was damaged") == (place != "empty")


def test_a_pipe_in_a_files_place_is_not_waited_for(folder: Path) -> None:
    make = Maker()
    kept({}, make)
    (file,) = files(folder)
    file.unlink()
    os.mkfifo(file)
    make.check(kept({}, make))
    assert make.calls == 2


@pytest.mark.parametrize("how", ["a file", "below a file"])
def test_without_a_folder_it_goes_on_and_says_so_once(
    folder: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write_text("")
    if how == "below a file":
        monkeypatch.setenv("TRUELIFT_CACHE", str(folder / "deep"))
    make = Maker()
    for _ in range(2):
        make.check(kept({}, make))
    assert make.calls == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "cannot be written" in told


def test_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    make = Maker()
    for _ in range(2):
        make.check(kept({}, make))
    assert make.calls == 2
    assert not files(folder)


def test_the_users_cache_folder_by_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUELIFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    kept({}, Maker())
    assert len(files(folder / "truelift")) == 1


def test_what_was_not_used_for_longest_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_CACHE_GIB", str(150_000 / 2**30))  # three of 48 KiB, and not four
    makers = [Maker() for _ in range(5)]
    for number in range(3):
        kept({"a": number}, makers[number])
    for age, file in enumerate(sorted(files(folder), key=lambda file: file.stat().st_mtime_ns)):
        os.utime(file, (age + 1, age + 1))
    kept({"a": 0}, makers[0])  # used: now it is the last
    kept({"a": 3}, makers[3])
    assert len(files(folder)) == 3
    for number in (0, 2, 3):
        kept({"a": number}, makers[number])
    assert [maker.calls for maker in makers] == [1, 1, 1, 1, 0]
    kept({"a": 1}, makers[1])
    assert makers[1].calls == 2


def test_what_is_larger_than_the_limit_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_CACHE_GIB", str(30_000 / 2**30))
    make = Maker()
    for _ in range(2):
        make.check(kept({}, make))
    assert make.calls == 2
    assert not files(folder)


@pytest.mark.parametrize("limit", ["-1", "nan", "inf", "much"])
def test_a_limit_that_is_none(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_CACHE_GIB", limit)
    with pytest.raises(InputError, match=f"^TRUELIFT_CACHE_GIB must be a number of at least 0, got {limit}"):
        kept({}, Maker())


def test_several_at_once(folder: Path) -> None:
    makers = [Maker() for _ in range(8)]
    found: list[Arrays] = []
    threads = [threading.Thread(target=lambda make=make: found.append(kept({}, make))) for make in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for arrays in found:
        makers[0].check(arrays)
    assert len(files(folder)) == 1


def test_what_changed_while_it_was_made_is_not_kept(folder: Path) -> None:
    kept({}, Maker(), lambda: False)
    assert not files(folder)


def test_what_is_made_quickly_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "WORTH_SECONDS", 60.0)
    kept({}, Maker())
    assert not files(folder)


# Images


def of(path: Path, seed: int = 0, **changes: object) -> Splits:
    return load(DataOptions(name="pets", path=str(path), **changes), split_seed=seed)  # type: ignore[arg-type]


def assert_same(one: Splits, other: Splits) -> None:
    for split in ("train", "validation", "test"):
        a, b = getattr(one, split), getattr(other, split)
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
        assert a.images.is_contiguous(memory_format=torch.channels_last)
    assert one.skipped == other.skipped


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were decoded in each call."""
    calls: list[int] = []
    decode: Any = vars(decoded)["decode_indices"]

    def counting(listing: object, indices: np.ndarray, **options: object) -> object:
        calls.append(len(indices))
        found: object = decode(listing, indices, **options)
        return found

    monkeypatch.setattr(decoded, "decode_indices", counting)
    return calls


def test_images_are_decoded_once_whatever_the_seed(tmp_path: Path, counted: list[int]) -> None:
    path = write_classes(tmp_path / "all.parquet", [0, 1, 1, 0, 1] * 20)
    for seed in (0, 0, 1):
        assert_same(of(path, seed), of(path, seed, cache=False))
    assert counted == [100]


def test_a_changed_image_is_decoded_anew(tmp_path: Path, counted: list[int]) -> None:
    root = write_folder(tmp_path / "pets", {"cat": 8, "dog": 12})
    before = of(root, test_fraction=0.3)
    file = sorted(root.rglob("*.png"))[0]
    file.write_bytes(png(pixels(250)))
    after = of(root, test_fraction=0.3)
    assert_same(after, of(root, test_fraction=0.3, cache=False))
    assert sum(250 in part.images[:, 0, 1, 1] for part in (after.train, after.test, after.validation)) == 1  # type: ignore[union-attr]
    assert not any(250 in part.images[:, 0, 1, 1] for part in (before.train, before.test))  # type: ignore[union-attr]
    assert counted == [20, 20]


def test_large_sets_are_told_by_the_time_of_change(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("truelift.data.digest._MOST_READ", 0)
    path = write_classes(tmp_path / "all.parquet", [0, 1, 1, 0, 1] * 20)
    of(path)
    of(path)
    assert counted == [100]
    about = path.stat()
    content = bytearray(path.read_bytes())
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    of(path)
    assert counted == [100, 100]


def test_what_changes_the_pixels_is_another_file(tmp_path: Path, counted: list[int]) -> None:
    path = write_classes(tmp_path / "all.parquet", [0, 1, 1, 0, 1] * 20)
    assert of(path).train.images.shape[2] == 4  # type: ignore[union-attr]
    assert of(path, resize=2).train.images.shape[2] == 2  # type: ignore[union-attr]
    of(path, train_images=10)
    assert counted == [100, 100, 30]  # 20 to test, and no more than the 10


def test_images_that_cannot_be_decoded_are_left_out_of_their_split(tmp_path: Path) -> None:
    images = [b"broken" if i in (3, 50, 51) else png(pixels(i)) for i in range(100)]
    path = write_parquet(tmp_path / "all.parquet", images, {"label": [0, 1, 1, 0, 1] * 20})
    plain = of(path, on_error="skip", cache=False)
    for _ in range(2):
        assert_same(of(path, on_error="skip"), plain)
    assert plain.skipped == 3
    with pytest.raises(InputError, match="cannot decode the image"):
        of(path)


def test_whitening_is_fitted_once_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (60, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    fits: list[int] = []
    fit = preprocessing._fit

    def counted_fit(*given: Any) -> Any:
        fits.append(1)
        return fit(*given)

    monkeypatch.setattr(preprocessing, "_fit", counted_fit)
    first, second = Whitening(images, 0.1), Whitening(images.clone(), 0.1)
    assert len(fits) == 1
    assert torch.equal(first.matrix, second.matrix)
    monkeypatch.setenv("TRUELIFT_CACHE", "off")
    fresh = Whitening(images, 0.1)
    assert torch.equal(first.matrix, fresh.matrix)
    assert torch.equal(first(images), fresh(images))
    monkeypatch.setenv("TRUELIFT_CACHE", str(cache.cache_folder() or ""))
    assert not torch.equal(Whitening(images, 0.2).matrix, first.matrix)
    other = images.clone()
    other[0, 0, 0, 0] ^= 255
    assert not torch.equal(Whitening(other, 0.1).matrix, first.matrix)
