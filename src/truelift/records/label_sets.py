"""What a network said of test images that may have several labels. N images, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from truelift.records.npz import MOST_BYTES, write_arrays
from truelift.records.predictions import Predictions


def _none() -> np.ndarray:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class LabelSetPredictions(Predictions):
    """Predictions in which an image is right where all its labels are, and no other.

    So that images can be compared as those of one label can, `labels` are all 0, `predicted` is 0 where the image is
    right and 1 where it is not, and there is no `probability`.
    """

    label_table: np.ndarray = field(default_factory=_none)
    """(N, K) uint8, 1 where the image has the class's label."""
    label_probability: np.ndarray = field(default_factory=_none)
    """(N, K) float32, the probability given to each label; one of at least 0.5 is predicted."""

    @classmethod
    def of(cls, labels: np.ndarray, probability: np.ndarray) -> "LabelSetPredictions":
        """From labels and probabilities, (N, K)."""
        wrong = ((probability >= 0.5) != labels.astype(bool)).any(axis=1).astype(np.int64)
        nothing = np.empty(0, np.float32)
        return cls(
            np.zeros_like(wrong), wrong, nothing, several=True, label_table=labels, label_probability=probability
        )

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> "LabelSetPredictions":
        """One after the other; a part without images may have any number of classes."""
        there = [part for part in parts if isinstance(part, cls) and len(part.labels)]
        if not there:
            return cls.of(np.empty((0, 0), np.uint8), _none())
        tables = np.concatenate([part.label_table for part in there])
        return cls.of(tables, np.concatenate([part.label_probability for part in there]))

    def write(self, path: Path) -> None:
        """Write as `Predictions`, with both tables unless they are larger than the file may be."""
        arrays = {"labels": self.labels, "predicted": self.predicted, "probability": self.probability}
        arrays["label_sets"] = np.ones(1, np.uint8)  # so that nobody takes them for classes
        tables = {"label_table": self.label_table, "label_probability": self.label_probability}
        if sum(table.nbytes for table in tables.values()) <= MOST_BYTES // 2:
            arrays |= tables
        write_arrays(path, arrays)
