"""Data sets of other libraries, given by a function of the user's."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.data.image_files import pixels, png

from truelift.data import DataOptions, ImageSet, Source, load, load_unlabelled
from truelift.data.listing import Listing
from truelift.data.loading import find_source
from truelift.errors import InputError

NAMES = ["ape", "cat"]


def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: Any) -> DataOptions:
    """Options whose data set is `given`."""
    (tmp_path / "given.py").write_text("def make():\n    import sys\n    return sys.modules['truelift'].given_data\n")
    monkeypatch.setattr(sys.modules["truelift"], "given_data", given, raising=False)
    return DataOptions(name=f"{tmp_path / 'given.py'}:make")


def values(listing: Listing) -> list[int]:
    return [
        int(np.asarray(opener().convert("RGB"))[1, 1, 0]) for opener in listing.openers(np.arange(len(listing.labels)))
    ]


class Vision:
    """As torchvision's data sets are."""

    def __init__(self, labels: Any, *, target_transform: Any = None, transform: Any = None) -> None:
        self.targets, self.made = labels, 0
        self.transform, self.target_transform = transform, target_transform
        self.transforms = transform or target_transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self.made += 1
        image: Any = Image.fromarray(pixels(index))
        image = self.transform(image) if self.transform else image
        label = self.targets[index]
        return image, self.target_transform(label) if self.target_transform else label


@pytest.mark.parametrize("labels", [[0, 1] * 10, torch.tensor([0, 1] * 10), np.array([0, 1] * 10)])
def test_items_as_torchvision_has_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, labels: Any) -> None:
    given = Vision(labels)
    given.classes = NAMES  # type: ignore[attr-defined]
    options = use(monkeypatch, tmp_path, given)
    source = find_source(options)
    assert (source.classes, source.train.labels.tolist()) == (("ape", "cat"), [0, 1] * 10)
    assert given.made < 10  # the labels are listed: not every image was made
    assert values(source.train) == [*range(20)]
    assert source.train.place(3).endswith("train image 3")
    splits = load(options, split_seed=0)
    assert isinstance(splits.train, ImageSet)
    assert splits.train.shape == (3, 4, 4)


def test_labels_that_are_changed_are_taken_from_the_items(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sets: tuple[Any, ...] = (
        Vision([0, 1] * 5, target_transform=lambda label: 1 - label),
        torch.utils.data.Subset(Vision([0, 0, 0, 1, 0, 1]), [3, 4, 5, 1]),  # type: ignore[arg-type]
        [(pixels(i), label) for i, label in enumerate([1, 0, 1, 0])],
        [(torch.from_numpy(pixels(i)), ["ape", "cat"][i % 2]) for i in range(4)],
    )
    for given in sets:
        source = find_source(use(monkeypatch, tmp_path, {"train": given, "test": given}))
        assert source.train.labels.tolist() == [int(given[i][1] in (1, "cat")) for i in range(len(given))]
    liar = Vision([0, 1] * 5)
    liar.labels = [1, 0] * 5  # type: ignore[attr-defined]
    del liar.targets
    liar.__class__ = type("Liar", (Vision,), {"__len__": lambda _: 10, "__getitem__": lambda _, i: (pixels(i), i % 2)})
    assert find_source(use(monkeypatch, tmp_path, liar)).train.labels.tolist() == [0, 1] * 5


def test_several_labels_and_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])
    array = np.stack([pixels(i) for i in range(4)])
    forms: list[Any] = [
        [(array[i], rows[i]) for i in range(4)],
        (array, rows),
        (array, rows.numpy().astype(bool)),
        (array, rows.float()),
    ]
    for form in forms:
        source = find_source(use(monkeypatch, tmp_path, {"train": form, "classes": ["a", "b", "c"]}))
        assert (source.classes, source.train.labels.tolist()) == (("a", "b", "c"), rows.tolist())
        source = find_source(use(monkeypatch, tmp_path, {"train": form, "test": (array, None)}))
        assert (source.classes, source.train.labels.tolist()) == (("0", "1", "2"), rows.tolist())
        assert source.unlabelled is not None
    source = find_source(use(monkeypatch, tmp_path, {"train": (array, [["b"], ["a", "b"], [], ["c"]])}))
    assert source.train.labels.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]]
    for nothing in (None, [-1] * 4):
        options = use(monkeypatch, tmp_path, {"train": (array, ["b", "a", "a", "b"]), "test": (array, nothing)})
        with pytest.raises(InputError, match="the test set has no labels" if nothing is None else "of one kind|labels"):
            load(options, split_seed=0)
    options = use(monkeypatch, tmp_path, {"train": (array, [0, 1, 1, 0]), "test": (array, [-1] * 4)})
    assert load_unlabelled(options).images.labels.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([(pixels(0).astype(float), 0)] * 4, r"train image 0: images must be uint8, 0 to 255, got float64"),
        (Vision([0, 1], transform=lambda _: torch.zeros(3, 4, 4)), r"train image 0: images must be uint8, .*float32"),
        (Vision([0, 1], transform=lambda image: image.nothing), r"train image 0: the data set raised AttributeError"),
        (Vision([0, 1], transform=lambda _: sys.exit(3)), r"train image 0: the data set raised SystemExit: 3 "),
        ([(pixels(0), 0.5)] * 4, r"train image 0: a label must be a whole number, text, true or false, got 0.5"),
        ({"train": Vision([0, 1]), "tset": Vision([0])}, r'unknown part of data set .*"tset". Did you mean "test"'),
        ({"train": Vision([0, 1]), "test": Vision([0, 2])}, r"test image 1: a label must be in 0..1"),
    ],
)
def test_items_that_are_no_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_source(use(monkeypatch, tmp_path, given))


def test_the_digest_changes_with_images_and_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    states = []
    for given in (
        [(pixels(i), i % 2) for i in range(20)],
        [(pixels(i), i % 2) for i in range(20)],
        [(pixels(i + (i == 7)), i % 2) for i in range(20)],
        [(pixels(i), int(i != 7) and i % 2) for i in range(20)],
    ):
        states.append(load(use(monkeypatch, tmp_path, given), split_seed=0).state)
    assert states[0] == states[1]
    assert len({state.digest for state in states if state}) == 3


class TestHuggingFace:
    """With the library itself."""

    @pytest.fixture
    def library(self) -> Any:
        pytest.importorskip("datasets")
        return importlib.import_module("datasets")

    def data_set(self, library: Any, labels: list[Any], label: Any) -> Any:
        features = library.Features({"id": library.Value("int64"), "image": library.Image(), "label": label})
        columns = {"id": [*range(len(labels))], "image": [pixels(i) for i in range(len(labels))], "label": labels}
        return library.Dataset.from_dict(columns, features=features)

    def source(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: Any) -> Source:
        return find_source(use(monkeypatch, tmp_path, given))

    def test_data_sets(self, library: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        named = self.data_set(library, [0, 1, 1, 0, 1], library.ClassLabel(names=NAMES))
        source = self.source(monkeypatch, tmp_path, named)
        assert (source.classes, source.train.labels.tolist()) == (("ape", "cat"), [0, 1, 1, 0, 1])
        assert values(source.train) == [0, 1, 2, 3, 4]
        both = library.DatasetDict({"train": named, "test": named.select([1, 0])})
        source = self.source(monkeypatch, tmp_path, both)
        assert source.test is not None
        assert (source.test.labels.tolist(), values(source.test)) == ([1, 0], [1, 0])
        shuffled = named.shuffle(seed=1).with_transform(lambda rows: {"image": [None] * len(rows["image"])})
        source = self.source(monkeypatch, tmp_path, shuffled)
        order = values(source.train)
        assert sorted(order) == [*range(5)]
        assert source.train.labels.tolist() == [[0, 1, 1, 0, 1][i] for i in order]
        words = self.data_set(library, ["b", "a", "b"], library.Value("string"))
        assert self.source(monkeypatch, tmp_path, words).train.labels.tolist() == [1, 0, 1]
        several = self.data_set(library, [[0], [0, 1], []], library.List(library.ClassLabel(names=NAMES)))
        source = self.source(monkeypatch, tmp_path, several)
        assert (source.classes, source.train.labels.tolist()) == (("ape", "cat"), [[1, 0], [1, 1], [0, 0]])

    def test_a_training_set_streamed(self, library: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        named = self.data_set(library, [0, 1] * 10, library.ClassLabel(names=NAMES))
        options = use(monkeypatch, tmp_path, named)
        splits = load(DataOptions(name=options.name, stream=True, resize=4, workers=0), split_seed=0)
        assert splits.train.shape == (3, 4, 4)
        assert splits.state == load(options, split_seed=0).state

    def test_image_files(self, library: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for i in range(3):
            (tmp_path / f"{i}.png").write_bytes(png(pixels(i)))
        paths = [str(tmp_path / f"{i}.png") for i in range(3)]
        given = library.Dataset.from_dict({"image": paths, "label": ["a", "b", "a"]})
        for form in (given, given.cast_column("image", library.Image())):
            assert values(self.source(monkeypatch, tmp_path, form).train) == [0, 1, 2]

    def test_what_cannot_be_read(self, library: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        named = self.data_set(library, [0, 1], library.ClassLabel(names=NAMES))
        other = self.data_set(library, [0, 1], library.ClassLabel(names=["x", "y"]))
        for given, message in (
            (named.to_iterable_dataset(), "a data set that is streamed has no order; load it without streaming=True"),
            (named.remove_columns("image"), r"no image \(bytes, or files' names\) column among|cannot decode"),
            (named.remove_columns(["label", "id"]), "no label .* column among image"),
            ({"train": named, "test": other}, "its classes must be named as those of the other splits"),
        ):
            with pytest.raises(InputError, match=message):
                self.source(monkeypatch, tmp_path, given)
