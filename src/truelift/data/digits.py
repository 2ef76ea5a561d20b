"""scikit-learn's bundled handwritten digits: 1,797 real gray images of 8x8 pixels, ten classes, no download."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from truelift.data.digest import of_arrays
from truelift.data.listing import IntArray, Listing, Opener, Source

# The darkest value in the files: each pixel counts the inked cells of a 4x4 block.
_HIGHEST = 16


def read_digits() -> Source:
    """The digits, their values 0..16 scaled to 0..255. They come as one set, without a test split.

    Source:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits  # here, because it takes a second, and every command imports this file

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / _HIGHEST)).astype(np.uint8)

    def openers(indices: IntArray) -> Iterator[Opener]:
        return (partial(Image.fromarray, pixels[i]) for i in indices)

    train = Listing(
        digits.target.astype(np.int64), openers, place="digits image {}".format, content=lambda: of_arrays(pixels)
    )
    return Source(train, validation=None, test=None, classes=tuple(map(str, digits.target_names)))
