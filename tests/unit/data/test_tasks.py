"""Smaller tasks from a data set."""

import numpy as np
import pytest
import torch
from PIL import Image

from truelift.data import ImageSet, Splits, pick_task, rotate
from truelift.data.photographs import Photographs
from truelift.errors import InputError


def numbered(labels: list[int]) -> ImageSet:
    """Images whose first pixel is their place in the set."""
    images = torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(labels), dtype=torch.uint8)
    return ImageSet(images.to(memory_format=torch.channels_last), torch.tensor(labels))


def places(images: ImageSet | Photographs) -> list[int]:
    assert isinstance(images, ImageSet)
    found: list[int] = images.images[:, 0, 0, 0].tolist()
    return found


@pytest.fixture
def splits() -> Splits:
    labels = [0, 1, 2, 3] * 10
    return Splits(numbered(labels), numbered(labels[:16]), numbered(labels[:20]), ("ant", "bee", "cat", "dog"), 0)


def test_no_name_is_the_whole_data_set(splits: Splits) -> None:
    assert pick_task(splits, (), seed=0) is splits


def test_classes_against_each_other_are_numbered_as_given(splits: Splits) -> None:
    task = pick_task(splits, ("dog", "bee"), seed=0)
    assert task.classes == ("dog", "bee")
    for part, whole in ((task.train, splits.train), (task.validation, splits.validation), (task.test, splits.test)):
        assert part is not None
        assert whole is not None
        expected = [i for i, label in enumerate(whole.labels.tolist()) if label in (3, 1)]
        assert places(part) == expected
        assert part.labels.tolist() == [{3: 0, 1: 1}[int(whole.labels[i])] for i in expected]


def test_one_class_against_as_many_random_others(splits: Splits) -> None:
    task, other_seed = (pick_task(splits, ("cat",), seed=seed) for seed in (0, 1))
    assert task.classes == ("others", "cat")
    truth = [int(splits.train.labels[i]) for i in places(task.train)]
    assert task.train.labels.tolist() == [int(label == 2) for label in truth]
    assert sum(task.train.labels.tolist()) == 10 == len(task.train) / 2
    assert len(set(places(task.train))) == 20
    assert places(task.train) != places(other_seed.train)
    assert places(task.test) == places(other_seed.test)
    assert places(task.train) == places(pick_task(splits, ("cat",), seed=0).train)


@pytest.mark.parametrize(
    ("names", "words"), [(("bea", "cat"), ["bea", "bee"]), (("cat", "cat"), ["differ", "cat, cat"])]
)
def test_bad_names_are_refused(splits: Splits, names: tuple[str, ...], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        pick_task(splits, names, seed=0)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, 270.0])
def test_rotation_by_quarter_turns_is_exact(degrees: float) -> None:
    pixels = torch.randint(256, (3, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    turned = rotate(ImageSet(pixels, torch.arange(3)), degrees)
    assert torch.equal(turned.images, pixels.rot90(int(degrees) // 90, (2, 3)))
    assert torch.equal(turned.labels, torch.arange(3))


def test_rotation_by_30_degrees_is_pillows() -> None:
    # Smooth, so that the two ways to interpolate differ little; the border is left out, where they treat black apart.
    y, x = np.mgrid[0:24, 0:24]
    smooth = (127 + 60 * np.sin(x / 5) + 60 * np.cos(y / 4)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(smooth).rotate(30, Image.Resampling.BILINEAR))
    found = rotate(ImageSet(torch.from_numpy(smooth)[None, None], torch.tensor([0])), 30.0).images[0, 0].numpy()
    inner = (slice(6, 18), slice(6, 18))
    assert np.abs(expected[inner].astype(int) - found[inner].astype(int)).max() <= 2
