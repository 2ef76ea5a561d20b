"""What a trained network said of each test image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from truelift.errors import InputError
from truelift.records.npz import read_arrays, write_arrays
from truelift.records.values import class_numbers, finite


@dataclass(frozen=True)
class Predictions:
    """What a trained network said of each test image.

    Shapes: N test images, in the order of the test set.
    """

    labels: np.ndarray
    """(N,) int64, the true class."""
    predicted: np.ndarray
    """(N,) int64, the class with the largest logit."""
    probability: np.ndarray
    """(N,) float32, the probability given to the true class; (0,) from a classifier that gives none."""
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    """(N,) float32, the probability given to the predicted class; (0,) where it was not kept."""
    rank: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """(N,) int64, how many classes come before the true one by their logits; (0,) where it was not kept."""
    several: bool = False
    """Whether images may have several labels: labels are then 0, and predicted is 0 where an image is right."""

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """One after the other; of no image where there is no part."""
        none = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        columns = zip(
            *((p.labels, p.predicted, p.probability, p.confidence, p.rank) for p in (none, *parts)), strict=True
        )
        labels, predicted, probability, confidence, rank = map(np.concatenate, columns)
        return cls(labels, predicted, probability, confidence, rank)

    def write(self, path: Path) -> None:
        """Write as a compressed npz file, whole or not at all."""
        arrays = {"labels": self.labels, "predicted": self.predicted, "probability": self.probability}
        kept = {"confidence": self.confidence, "rank": self.rank.astype(np.int32)}
        write_arrays(path, arrays | {name: array for name, array in kept.items() if len(array)})

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read what `write` wrote, or a user's program: whole numbers and probabilities of any width.

        A user's program, and runs of earlier versions, need not have `confidence` and `rank`.

        Raises:
            InputError: The file is missing or damaged, or its arrays are no predictions.
        """
        arrays = read_arrays(
            path, ("labels", "predicted", "probability"), optional=("confidence", "rank", "label_sets")
        )
        labels = class_numbers(path, "labels", arrays["labels"])
        predicted = class_numbers(path, "predicted", arrays["predicted"])
        probability = finite(path, "probability", arrays["probability"])
        if predicted.shape != labels.shape:
            raise InputError(f"{path}: predicted must have the shape of labels, {labels.shape}, got {predicted.shape}.")
        kept = {"probability": probability}
        if "confidence" in arrays:
            kept["confidence"] = finite(path, "confidence", arrays["confidence"])
        if "rank" in arrays:
            kept["rank"] = class_numbers(path, "rank", arrays["rank"])
        for name, array in kept.items():
            if array.shape not in (labels.shape, (0,)):
                raise InputError(
                    f"{path}: {name} must have the shape of labels, {labels.shape}, or be empty, got {array.shape}."
                )
            # A rounded sum may be a little above 1.
            if name != "rank" and len(array) and not (array.min() >= 0 and array.max() <= 1.001):
                raise InputError(f"{path}: {name} must be in [0, 1].")
        return cls(labels, predicted, **kept, several="label_sets" in arrays)
