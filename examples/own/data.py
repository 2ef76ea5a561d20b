"""A data set of one's own: data.name = "examples/own/data.py:stripes"."""

from typing import Any

import numpy as np


def stripes(images: int = 400, side: int = 16) -> dict[str, Any]:
    """Grey images of stripes that lie, stand, or are none, in noise; uint8 (N, side, side)."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 3
    waves = 60 * np.sin(np.arange(side) * np.pi / 2 + rng.uniform(0, 6, images)[:, None])
    pixels = 128 + rng.normal(0, 50, (images, side, side))
    pixels[labels == 0] += waves[labels == 0, :, None]
    pixels[labels == 1] += waves[labels == 1, None, :]
    return {"train": (pixels.clip(0, 255).astype(np.uint8), labels), "classes": ["lying", "standing", "none"]}
