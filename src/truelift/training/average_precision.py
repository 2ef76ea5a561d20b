"""How well scores put the images with a label before those without. N images, K classes."""

import numpy as np


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """The average precision of one class, in [0, 1].

    Formula, over the different scores s_1 > s_2 > …, with P_n and R_n the precision and the recall of "at least s_n":

        Σ_n (R_n − R_{n−1}) · P_n,  R_0 = 0

    Args:
        labels: (N,), 1 where the image has the label, at least one.
        scores: (N,), larger for an image that is more likely to have it.

    Source:
        As scikit-learn's average_precision_score; no interpolation.

    >>> average_precision(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.1]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of images with equal scores the last
    found = np.cumsum(labels[order], dtype=np.int64)[ends]
    precision, recall = found / (ends + 1), found / found[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def mean_average_precision(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """The mean of `average_precision` over the classes that any image has, in [0, 1]; None where there is none.

    Args:
        labels: (N, K) of 0 and 1.
        scores: (N, K).
    """
    there = np.flatnonzero(labels.any(axis=0))
    if not len(there):
        return None
    return float(np.mean([average_precision(labels[:, k], scores[:, k]) for k in there]))
