"""scikit-learn's bundled handwritten digits: 1,797 real gray images of 8x8 pixels, ten classes, no download."""

import gzip
import importlib.util
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from truelift.data.digest import of_arrays
from truelift.data.listing import IntArray, Listing, Opener, Source

# The darkest value in the files: each pixel counts the inked cells of a 4x4 block.
_HIGHEST = 16
_SIDE = 8


def read_digits() -> Source:
    """The digits, their values 0..16 scaled to 0..255. They come as one set, without a test split.

    Source:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    pixels, labels = _images()

    def openers(indices: IntArray) -> Iterator[Opener]:
        return (partial(Image.fromarray, pixels[i]) for i in indices)

    train = Listing(
        labels,
        openers,
        place="digits image {}".format,
        content=_content,
        pixels=lambda indices: pixels[indices, ..., None],
    )
    return Source(train, validation=None, test=None, classes=tuple(map(str, range(10))))


@cache
def _images() -> tuple[npt.NDArray[np.uint8], IntArray]:
    """Pixels (1797, 8, 8), and labels (1797,): once a process, and before runs are forked from it (`rehearse`)."""
    rows = _rows()
    values = rows[:, :-1].reshape(-1, _SIDE, _SIDE)
    pixels, labels = np.rint(values * (255 / _HIGHEST)).astype(np.uint8), rows[:, -1].astype(np.int64)
    for kept in (pixels, labels):
        kept.setflags(write=False)
    return pixels, labels


@cache
def _content() -> bytes:
    return of_arrays(list(_images()[0]))


def _rows() -> npt.NDArray[np.float64]:
    """Each image's 64 values and its label, (1797, 65).

    Read from the file that comes with scikit-learn: to import that package takes longer than to train on the digits.
    """
    package = importlib.util.find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "datasets/data/digits.csv.gz"
        if file.is_file():
            values = _numbers(gzip.decompress(file.read_bytes()))
            if values is not None and values.size % (_SIDE * _SIDE + 1) == 0:
                return values.reshape(-1, _SIDE * _SIDE + 1)
    from sklearn.datasets import load_digits  # another version may keep the file elsewhere

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


def _numbers(text: bytes) -> npt.NDArray[np.float64] | None:
    """Whole numbers below 100, each with a comma or a line's end behind it; None where there is anything else.

    All at once: to take the lines apart would take as long as a run's network takes for a whole epoch of the digits.
    """
    signs = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(signs < ord("0"))
    lengths = np.diff(ends, prepend=-1) - 1
    between = np.isin(signs[ends], list(b",\n")).all() and len(ends) and ends[-1] == len(signs) - 1
    if not between or signs.max() > ord("9") or lengths.min() < 1 or lengths.max() > 2:
        return None
    digits = signs - ord("0")
    return (10 * np.where(lengths == 2, digits[ends - 2], 0) + digits[ends - 1]).astype(np.float64)
