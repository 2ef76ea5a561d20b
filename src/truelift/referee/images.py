"""What a metric was computed on, by its name: a confirmation must be on images that nothing was judged by."""

import re
from collections.abc import Mapping

_SPLITS = {
    "test": "test",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "train": "training",
    "training": "training",
}
_STANDS_FOR = {
    "eval": "validation",
    "evaluation": "validation",
    "holdout": "held-out",
    "heldout": "held-out",
    "outlier": "test",  # truelift's detection has test images beside the outliers, and changed ones
    "fgsm": "test",
}
"""Where no split is named: the Trainer of Hugging Face calls a measure of test images `eval_test_accuracy`."""


def images_of(metric: str, data: str = "") -> str:
    """The images that a metric was computed on, as its name tells them.

    >>> images_of("val_accuracy"), images_of("head_test_error", "digits"), images_of("score")
    ('validation images', 'test images of digits', 'what score is computed on')

    Args:
        metric: Its name.
        data: The data set's, where it is known.
    """
    split = _split(metric, _SPLITS, _STANDS_FOR)
    if split is None:
        return untold(metric)
    return f"{split} images of {data}" if data else f"{split} images"


def _split(metric: str, *kinds: Mapping[str, str]) -> str | None:
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric).lower())  # testAccuracy too
    return next((known[word] for known in kinds for word in words if word in known), None)


def untold(metric: str) -> str:
    """The images of a metric whose name does not tell them: those of others may be the same."""
    return f"what {metric} is computed on"


def of_record(images: str, metric: str) -> str:
    """The images in a ledger's line, also in one of an earlier version."""
    return images_of(metric) if images in _before(metric) else images


def same_images(recorded: str, asked: str, metric: str) -> bool:
    """Whether a line of the ledger is of the images asked for, also one of an earlier version; both of one metric."""
    return recorded == asked or (recorded in _before(metric) and asked.startswith(images_of(metric)))


def _before(metric: str) -> tuple[str, ...]:
    """What earlier versions wrote: they knew fewer names, and of several words in one the first counted."""
    first = f"{_split(metric, _SPLITS | _STANDS_FOR)} images"
    return (untold(metric), *(() if first == images_of(metric) else (first,)))
