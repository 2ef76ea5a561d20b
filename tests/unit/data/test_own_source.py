from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.data.image_files import pixels, png

from truelift.data import DataOptions, ImageSet, load, resolve_data
from truelift.errors import InputError

ARRAYS = """
import numpy as np, torch
from PIL import Image
def images(n, channels=3):
    made = np.zeros((n, 6, 5, channels), np.uint8)
    made[:] = np.arange(n)[:, None, None, None]
    made[:, 2, 1, 0] = 200
    return made
def labels(n): return np.arange(n) % 2
def last(n): return {"train": (images(n), labels(n))}
def first(n): return {"train": (torch.from_numpy(images(n)).permute(0, 3, 1, 2), torch.from_numpy(labels(n)))}
def rows(n): return {"train": ([*images(n)], labels(n).tolist())}
def pictures(n): return {"train": ([Image.fromarray(one) for one in images(n)], labels(n))}
def files(n, folder):
    for number, one in enumerate(images(n)):
        Image.fromarray(one).save(f"{folder}/{number:03}.png")
    return {"train": ([f"{folder}/{number:03}.png" for number in range(n)], labels(n))}
def grey(n): return {"train": (images(n, 1)[..., 0], labels(n)), "test": (images(4, 1)[..., 0] + 50, labels(4)),
    "validation": (images(6, 1), labels(6)), "classes": ["even", "odd"]}
"""


def write(folder: Path, source: str = ARRAYS) -> str:
    (folder / "mine.py").write_text(source)
    return str(folder / "mine.py")


@pytest.mark.parametrize("form", ["last", "first", "rows", "pictures", "files"])
def test_every_form_gives_the_same_images(tmp_path: Path, form: str) -> None:
    args = {"n": 40, "folder": str(tmp_path)} if form == "files" else {"n": 40}
    splits = load(DataOptions(name=f"{write(tmp_path)}:{form}", args=args), split_seed=0)
    assert splits.validation is not None
    parts = [splits.train, splits.validation, splits.test]
    assert sum(map(len, parts)) == 40
    assert splits.classes == ("0", "1")
    seen = []
    for part in parts:
        assert isinstance(part, ImageSet)
        assert part.shape == (3, 6, 5)
        for image, label in zip(part.images, part.labels, strict=True):
            number = int(image[1, 0, 0])
            expected = torch.full((3, 6, 5), number, dtype=torch.uint8)
            expected[0, 2, 1] = 200
            assert torch.equal(image, expected)
            assert int(label) == number % 2
            seen.append(number)
    assert sorted(seen) == list(range(40))


def test_splits_and_names_of_its_own(tmp_path: Path) -> None:
    splits = load(DataOptions(name=f"{write(tmp_path)}:grey", args={"n": 10}), split_seed=0)
    assert splits.validation is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 6, 4]
    assert splits.classes == ("even", "odd")
    assert isinstance(splits.test, ImageSet)
    assert splits.test.images[:, 0, 0, 0].tolist() == [50, 51, 52, 53]
    assert splits.test.shape == (1, 6, 5)


def test_a_source_as_it_is_and_streamed(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(png(pixels(number, side=16)))
    source = f"""
from truelift.data.image_files import list_files
import numpy as np
from truelift.data import Source
def make():
    files = [f"{tmp_path}/{{n}}.png" for n in range(12)]
    return Source(list_files(files, np.array([0, 1] * 6)), None, None, ("a", "b"))
"""
    options = DataOptions(name=f"{write(tmp_path, source)}:make", stream=True, resize=8, workers=0)
    splits = load(options, split_seed=0)
    assert splits.classes == ("a", "b")
    assert splits.train.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "must give a dict of splits, a data set or a Source, got int"),
        ("return {'test': (A, L)}", 'must give "train", got test'),
        ("return {'train': (A, L), 'valid': (A, L)}", 'unknown part of data set .*"valid". Did you mean "validation"'),
        ("return {'train': A}", r"must be \(images, labels\) or a data set, got ndarray"),
        ("return {'train': (A, L[:3])}", "there must be a label for each image, got 8 and 3"),
        ("return {'train': (A / 255, L)}", "images must be uint8, 0 to 255, got float64"),
        ("return {'train': (A[0, 0], L)}", r"images must be \(N, H, W\), .*got \(4, 3\)"),
        ("return {'train': (A[..., :2], L)}", r"C = 1 or 3 in one of the two, got \(8, 5, 4, 2\)"),
        ("return {'train': (A[:, :3], L)}", r"C = 1 or 3 in only one of the two, got \(8, 3, 4, 3\)"),
        ("return {'train': (A[:, :0], L)}", r"at least one pixel, got \(8, 0, 4, 3\)"),
        ("return {'train': (A, L + 0.0)}", r"labels must be class numbers, integers \(N,\), got float64 \(8,\)"),
        ("return {'train': (A, L - 1)}", "image 0: a label must be in 0..0 .*got -1"),
        ("return {'train': (A, L * 10**7)}", "train image 1: a label must be in 0..99999 .*got 10000000"),
        ("return {'train': (A, L), 'classes': ['a']}", "image 1: a label must be in 0..0 .*got 1"),
        ("return {'train': (A, L), 'classes': ['a', 'a']}", 'classes must have different names, got "a" twice'),
        ("return {'train': (A, L), 'classes': 'ab'}", "classes must be a list of names, got str"),
        ("return {'train': (A, L * 0)}", 'at least two classes with training images, got only "0"'),
        ("return {'train': ([3] * 8, L)}", "train image 0: must be a PIL image, an array or a file, got int"),
        ("return {'train': (['nowhere.png'] * 8, L)}", "nowhere.png: cannot decode the image"),
        ("raise KeyError('a')", r"data set .* raised KeyError: 'a' \(mine.py, line 5\)"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, body: str, message: str) -> None:
    source = (
        f"import numpy as np\nA, L = np.zeros((8, 5, 4, 3), np.uint8), np.arange(8) % 2\n\ndef make():\n    {body}\n"
    )
    with pytest.raises(InputError, match=message):
        load(DataOptions(name=f"{write(tmp_path, source)}:make"), split_seed=0)


def test_resolving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path)
    wrong = [
        (DataOptions(name="cifar11"), 'unknown data set "cifar11". Did you mean "cifar10"'),
        (DataOptions(name="."), r'unknown data set "\.": a file or folder is given as --data\.path \.'),
        (DataOptions(name=f"{path}:lats"), 'has no "lats". Did you mean "last"'),
        (DataOptions(name="nowhere.py:make"), "there is no file nowhere.py"),
        (DataOptions(name=f"{path}:last", path="x"), "data.path must be left out where data.name is your own"),
        (DataOptions(args={"n": 3}), "data.args must be left out where data.name is none of your own"),
        (DataOptions(test_fraction=7), r"data.test_fraction must be in \(0, 1\), got 7"),
        (DataOptions(train_images=-3), "data.train_images must be at least 1, got -3"),
        (DataOptions(split_seed=2**63), "data.split_seed must be from"),
        (DataOptions(path="x", stream=True, resize=8, progressive=()), "data.progressive must be 1 to 1000 sides"),
    ]
    for options, message in wrong:
        with pytest.raises(InputError, match=message):
            resolve_data(options)
    assert resolve_data(DataOptions(name=f"{path}:last", args={"n": 3})).args == {"n": 3}
    for given, name in (("pets", "pets"), ("../a:b", "a_b")):
        resolved = resolve_data(DataOptions(path=given))
        assert resolved.name == name
        assert resolved.path == str(Path(given).absolute())
        assert resolve_data(resolved) == resolved
    assert resolve_data(DataOptions(name="cifar10", path="pets")).name == "cifar10"
    assert resolve_data(DataOptions()) == DataOptions()
    with pytest.raises(InputError, match=r"takes no args\.m"):
        load(DataOptions(name=f"{path}:last", args={"m": np.int64(3)}), split_seed=0)
