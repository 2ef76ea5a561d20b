"""The noise over test images, which more seeds do not shrink.

Reference: Jordan 2023, "On the Variance of Neural Network Training" (noise over seeds against noise over test images).
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError


def example_standard_error(correct_baseline: ArrayLike, correct_variant: ArrayLike) -> float:
    """The standard error of an accuracy difference over test images: what another test set of this size would change.

        d_i = mean over seeds of (variant right on image i) - (baseline right on image i);   100 sd(d_i) / sqrt(N)

    It is the other noise: more seeds do not shrink it, more test images do. Most of the variance between runs of one
    configuration is of this kind, luck with a finite test set (Jordan 2023). Images that both get right, or both
    wrong, cancel, so it is smaller than the error of either accuracy.

    Args:
        correct_baseline: Booleans of shape (k, N), whether seed k of the baseline is right on image N.
        correct_variant: The same of the variant, for the same seeds and images.

    Returns:
        The standard error of the mean difference, in percentage points.

    Raises:
        InputError: For arrays that are not boolean, not of one shape (k, N), or with k < 1 or N < 2.
    """
    baseline, variant = np.asarray(correct_baseline), np.asarray(correct_variant)
    for name, array in (("correct_baseline", baseline), ("correct_variant", variant)):
        if array.dtype != np.bool_:
            raise InputError(f"{name} must be boolean, got {array.dtype}.")
    if baseline.shape != variant.shape:
        raise InputError(f"correct_variant must have the baseline's shape {baseline.shape}, got {variant.shape}.")
    if baseline.ndim != 2 or baseline.shape[0] < 1 or baseline.shape[1] < 2:
        raise InputError(f"correct_baseline must be seeds x images with 2 images or more, got {baseline.shape}.")
    d = variant.mean(axis=0) - baseline.mean(axis=0)
    return float(100 * d.std(ddof=1) / math.sqrt(d.size))
