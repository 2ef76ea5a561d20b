"""K-fold cross-validation: one data set cut into k parts, each of which is the test set once."""

import numpy as np

from truelift.data.listing import IntArray
from truelift.data.splits import TEST_SEED
from truelift.errors import InputError


def fold_numbers(labels: IntArray, folds: int) -> IntArray:
    """The fold of each image, stratified: of each class, and of all, the folds' numbers of images differ by 1 at most.

    Within each class images are shuffled by a fixed seed, and dealt out to the folds in turn, going on from class to
    class.

    Args:
        labels: int64 (N,), class numbers.
        folds: k, at least 2.

    Returns:
        int64 (N,), from 0 to k - 1.

    Raises:
        InputError: A class has fewer than 2 images, so that one fold would have none to train on; or there are fewer
            images than folds.

    >>> fold_numbers(np.array([0, 0, 0, 0, 1, 1]), 2).tolist().count(0)
    3
    """
    counts = np.bincount(labels)
    if len(labels) < folds:
        raise InputError(f"data.folds must be at most the {len(labels)} images there are, got {folds}")
    few = np.flatnonzero(counts == 1)
    if len(few):
        raise InputError(f"data.folds needs 2 images of each class or more, got 1 of class number {few[0]}")
    generator = np.random.default_rng(TEST_SEED)
    order = np.concatenate([generator.permutation(np.flatnonzero(labels == c)) for c in range(len(counts))])
    numbers = np.empty(len(labels), dtype=np.int64)
    numbers[order] = np.arange(len(labels)) % folds
    return numbers
