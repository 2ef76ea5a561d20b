"""The noise over test images, which more seeds do not shrink.

Reference: Jordan 2023, "On the Variance of Neural Network Training" (noise over seeds against noise over test images).
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError


def example_standard_error(correct_baseline: ArrayLike, correct_variant: ArrayLike) -> float:
    """The standard error of an accuracy difference over test images: what another test set of this size would change.

        SE^2 = max(0, [var_i(mean_k d_ik) - mean_i(var_k d_ik) / k] / N),   d_ik (variant right) - (baseline right)

    It is the other noise: more seeds do not shrink it, more test images do. The mean over k seeds of an image's
    difference still holds the k-th part of that image's noise over seeds, which the second term takes out: else two
    trainings that differ by nothing but seeds would have a noise over images.

    Args:
        correct_baseline: Booleans of shape (k, N), whether seed k of the baseline is right on image N; k >= 2, N >= 2.
        correct_variant: The same of the variant, for the same seeds and images.

    Returns:
        The standard error of the mean difference, in percentage points.

    Raises:
        InputError: For arrays that are not boolean, not of one shape (k, N), or with k < 2 or N < 2.
    """
    baseline, variant = np.asarray(correct_baseline), np.asarray(correct_variant)
    for name, array in (("correct_baseline", baseline), ("correct_variant", variant)):
        if array.dtype != np.bool_:
            raise InputError(f"{name} must be boolean, got {array.dtype}.")
    if baseline.shape != variant.shape:
        raise InputError(f"correct_variant must have the baseline's shape {baseline.shape}, got {variant.shape}.")
    if baseline.ndim != 2 or baseline.shape[0] < 2 or baseline.shape[1] < 2:
        raise InputError(f"correct_baseline must be seeds x images, 2 or more of both, got {baseline.shape}.")
    d = variant.astype(np.int8) - baseline
    over_seeds = d.var(axis=0, ddof=1).mean() / d.shape[0]
    return float(100 * math.sqrt(max(0.0, d.mean(axis=0).var(ddof=1) - over_seeds) / d.shape[1]))
