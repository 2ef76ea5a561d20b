"""Two-dimensional features of the test images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from truelift.errors import InputError
from truelift.records.npz import read_arrays, write_arrays
from truelift.records.values import class_numbers, finite, floats


@dataclass(frozen=True)
class Features:
    """Two-dimensional features of the test images, and the Gaussians over them where the head has some.

    Shapes: N test images, in the order of the test set; K classes.
    """

    features: np.ndarray
    """(N, 2) float32, what the classifier sees; not finite where a network gives an image no place."""
    labels: np.ndarray
    """(N,) int64, the true class."""
    means: np.ndarray
    """(K, 2) float32, each class's mean; (0, 2) for a head without Gaussians."""
    variances: np.ndarray
    """(K, 2) float32, each class's variance along each feature; (0, 2) likewise."""
    class_names: tuple[str, ...]
    """K names."""

    def write(self, path: Path) -> None:
        """Write as a compressed npz file, whole or not at all."""
        arrays = {name: getattr(self, name) for name in ("features", "labels", "means", "variances")}
        write_arrays(path, {**arrays, "class_names": np.array(self.class_names, dtype=np.str_)})

    @classmethod
    def read(cls, path: Path) -> "Features":
        """Read what `write` wrote.

        Raises:
            InputError: The file is missing or damaged, or its arrays are no features of two dimensions.
        """
        arrays = read_arrays(path, ("features", "labels", "means", "variances", "class_names"))
        labels = class_numbers(path, "labels", arrays["labels"])
        names = _names(path, arrays["class_names"])
        points = floats(path, "features", arrays["features"])
        means, variances = (finite(path, name, arrays[name]) for name in ("means", "variances"))
        for name, found, shapes in (
            ("features", points.shape, ((len(labels), 2),)),
            ("means", means.shape, ((len(names), 2), (0, 2))),
            ("variances", variances.shape, (means.shape,)),
        ):
            if found not in shapes:
                raise InputError(f"{path}: {name} must have the shape {' or '.join(map(str, shapes))}, got {found}.")
        if len(labels) and labels.max() >= len(names):
            raise InputError(f"{path}: labels must be below {len(names)}, the number of classes, got {labels.max()}.")
        if variances.size and variances.min() < 0:
            raise InputError(f"{path}: variances must be at least 0, got {variances.min()}.")
        return cls(points, labels, means, variances, names)


def _names(path: Path, array: np.ndarray) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise InputError(f"{path}: class_names must be texts in one dimension, got {array.dtype} of {array.shape}.")
    try:
        names = tuple(array.tolist())
        "".join(names).encode()
    except (ValueError, SystemError):  # numbers that are no characters
        raise InputError(f"{path}: class_names must be Unicode.") from None
    return names
