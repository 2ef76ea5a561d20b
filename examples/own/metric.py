"""A metric of one's own: metrics.names = ["examples/own/metric.py:balanced_accuracy"]; a study may judge by it."""

import numpy as np


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over the classes of the share of their images that are right, in percent."""
    return 100 * float(np.mean([np.mean(predicted[labels == k] == k) for k in np.unique(labels)]))
