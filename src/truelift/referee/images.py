"""What a metric was computed on, by its name: a confirmation must be on images that nothing was judged by."""

import re

_SPLITS = {
    "test": "test",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "train": "training",
    "training": "training",
}


def images_of(metric: str, data: str = "") -> str:
    """The images that a metric was computed on, as its name tells them.

    >>> images_of("val_accuracy"), images_of("head_test_error", "digits"), images_of("score")
    ('validation images', 'test images of digits', 'what score is computed on')

    Args:
        metric: Its name.
        data: The data set's, where it is known.
    """
    words = re.split(r"[^a-z0-9]+", metric.lower())
    split = next((_SPLITS[word] for word in words if word in _SPLITS), None)
    if split is None:
        return f"what {metric} is computed on"
    return f"{split} images of {data}" if data else f"{split} images"
