"""Stratified cuts: which images go where, from labels and a seed alone. N images, C classes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from truelift.data.listing import IntArray
from truelift.errors import InputError
from truelift.options import SHARE_BELOW_ONE, Conflict, In, at_least

MOST_IMAGES = 10_000_000_000
"""Of a split: more than any data set has."""

TEST_SEED = 0
"""Of test images: the same for every seed of a study, so that predictions can be compared image by image."""

_COUNT = at_least(1, MOST_IMAGES)


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Which images are for training, which for validation and which for the test."""

    train_images: Annotated[int | None, _COUNT] = None
    """Number of training images to keep, the same share of each class, chosen by the split seed. If a validation set
    has to be split off, it comes from these."""

    test_images: Annotated[int | None, _COUNT] = None
    """Number of test images to keep, the same share of each class; the same ones for every seed."""

    validation_fraction: Annotated[float, SHARE_BELOW_ONE] = 0.1
    """Share of the training images split off, class by class, for validation if the data has no validation set; in
    [0, 1), 0 for none."""

    validation_images: Annotated[int | None, _COUNT] = None
    """Instead of validation_fraction: the number of training images, the last ones in the data's order for every seed,
    if the data has no validation set."""

    test_fraction: Annotated[float, In("in (0, 1)", lambda value: 0 < value < 1)] = 0.2
    """Share of the training images split off first, class by class, for the test if the data has no test set; in
    (0, 1). The same images whatever the seed."""

    folds: Annotated[int | None, at_least(2, 1000)] = None
    """Cut the training images into this many folds, class by class, and hold out fold data.fold as the test set,
    whatever the seed; the data's own test set is set aside. A study with replicates = "folds" sets both."""

    fold: Annotated[int | None, at_least(0, 999)] = None
    """Which of data.folds is held out, from 0."""

    split_seed: Annotated[int | None, In("from -2⁶³ to 2⁶³ − 1", lambda seed: -(2**63) <= seed < 2**63)] = None
    """Seed of the split. By default it follows the experiment's seed, so that a study varies it too."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        once = self.validation_images is None or self.validation_fraction == SplitOptions.validation_fraction
        yield "validation_images", once, "left out with data.validation_fraction: one quantity in two units"
        yield "fold", (self.fold is None) == (self.folds is None), "given with data.folds, and only then"
        inside = self.fold is None or self.folds is None or self.fold < self.folds
        yield "fold", inside, f"from 0 to data.folds − 1, {(self.folds or 1) - 1}"
        whole = self.folds is None or (self.test_images is None and self.test_fraction == SplitOptions.test_fraction)
        yield "folds", whole, "left out with data.test_images or data.test_fraction: the fold is the test set"


def apportion(counts: IntArray, total: int, *, least: IntArray, most: IntArray) -> IntArray:
    """Divides `total` images over classes in proportion to `counts`, by largest remainder within bounds.

    A class with share q = counts * total / sum(counts) first gets floor(q), kept within its bounds. What is missing
    then goes one by one to the class furthest below its share (ties: the lower class number), and what is too much is
    taken from the class furthest above. Without bounds this is Hamilton's method.

    Args:
        counts: int64 (C,), images a class has.
        total: Images to give, in sum(least)..sum(most).
        least: int64 (C,), the fewest images of each class.
        most: int64 (C,), the most images of each class.

    Returns:
        int64 (C,) with sum `total`.

    >>> apportion(np.array([50, 30, 20]), 7, least=np.zeros(3, int), most=np.array([50, 30, 20])).tolist()
    [4, 2, 1]
    """
    assert least.sum() <= total <= most.sum()
    whole = counts.sum()
    given: IntArray = np.clip(counts * total // whole, least, most)
    while missing := int(total - given.sum()):
        behind = counts * total - given * whole  # in units of 1/sum(counts) of an image, so exact
        if missing > 0:
            given[np.argmax(np.where(given < most, behind, np.iinfo(np.int64).min))] += 1
        else:
            given[np.argmin(np.where(given > least, behind, np.iinfo(np.int64).max))] -= 1
    return given


def subset(labels: IntArray, total: int, *, seed: int, least: int = 0) -> IntArray:
    """A stratified choice of `total` images, at least `least` of each class that is present.

    Args:
        labels: int64 (N,).
        total: Images to choose, at most N and at least `least` times the classes present.
        seed: Seed of the choice, at least 0.
        least: Fewest images of each class, at most the smallest class's number.

    Returns:
        Ascending indices, int64 (total,).
    """
    counts = np.bincount(labels)
    return _choose(labels, apportion(counts, total, least=np.minimum(counts, least), most=counts), seed)


def cut(labels: IntArray, fraction: float, *, seed: int) -> tuple[IntArray, IntArray]:
    """Cuts off `fraction` of the images, class by class; each class keeps at least one.

    The number cut is fraction * N, rounded to the nearest (halves up), but no more than leaves each class one image;
    `apportion` divides it over the classes.

    Args:
        labels: int64 (N,).
        fraction: Share to cut off, in (0, 1).
        seed: Seed of the choice, at least 0.

    Returns:
        Ascending indices of the images kept, and of those cut off; together each index once.

    Raises:
        InputError: There is not one image to cut off.
    """
    counts = np.bincount(labels)
    most = np.maximum(counts - 1, 0)
    total = min(math.floor(fraction * len(labels) + 0.5), int(most.sum()))
    if total == 0:
        why = "each class has only one" if most.sum() == 0 else f"{fraction} of {len(labels)} is none"
        raise InputError(f"no image can be cut off {len(labels)} training images: {why}")
    off = _choose(labels, apportion(counts, total, least=np.zeros_like(counts), most=most), seed)
    return np.setdiff1d(np.arange(len(labels)), off), off


def _choose(labels: IntArray, amounts: IntArray, seed: int) -> IntArray:
    """`amounts[c]` images of each class c, at random, as ascending indices."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(labels == c))[:amount] for c, amount in enumerate(amounts)]
    return np.sort(np.concatenate(chosen))
