"""K-fold cross-validation: every image is held out once."""

import numpy as np
import pytest

from truelift.data import DataOptions, load
from truelift.data.folds import fold_numbers
from truelift.errors import InputError


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_are_alike(folds: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [50, 3, 11, 20, 2]))
    numbers = fold_numbers(labels, folds)
    sizes = np.bincount(numbers, minlength=folds)
    assert np.ptp(sizes) <= 1
    for c in range(5):
        assert np.ptp(np.bincount(numbers[labels == c], minlength=folds)) <= 1
    assert np.array_equal(numbers, fold_numbers(labels, folds))


def test_too_few_images() -> None:
    with pytest.raises(InputError, match="2 images of each class or more, got 1 of class number 1"):
        fold_numbers(np.array([0, 0, 0, 1]), 3)
    with pytest.raises(InputError, match="at most the 4 images"):
        fold_numbers(np.array([0, 0, 1, 1]), 5)


def test_each_image_is_the_test_set_s_once() -> None:
    seen: list[bytes] = []
    for fold in range(4):
        splits = load(DataOptions(folds=4, fold=fold, validation_fraction=0.1), split_seed=fold)
        assert splits.validation is not None
        test = {image.numpy().tobytes() for image in splits.test.images}  # type: ignore[union-attr]
        train = {image.numpy().tobytes() for image in splits.train.images}  # type: ignore[union-attr]
        assert len(splits.train) + len(splits.validation) + len(splits.test) == 1797
        assert not test & train
        again = load(DataOptions(folds=4, fold=fold), split_seed=99).test
        assert np.array_equal(again.labels, splits.test.labels)
        seen += [image.numpy().tobytes() for image in splits.test.images]  # type: ignore[union-attr]
    whole = load(DataOptions(validation_fraction=0), split_seed=0)
    every = [image.numpy().tobytes() for part in (whole.train, whole.test) for image in part.images]  # type: ignore[union-attr]
    assert sorted(seen) == sorted(every)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"folds": 4}, "data.fold must be given with data.folds"),
        ({"fold": 1}, "data.fold must be given with data.folds"),
        ({"folds": 4, "fold": 4}, "data.fold must be from 0 to data.folds − 1, 3"),
        ({"folds": 4, "fold": 0, "test_images": 10}, "data.folds must be left out with data.test_images"),
        ({"folds": 1, "fold": 0}, "data.folds must be"),
    ],
)
def test_refusals(options: dict[str, int], told: str) -> None:
    with pytest.raises(InputError, match=told):
        load(DataOptions(**options), split_seed=0)  # type: ignore[arg-type]
