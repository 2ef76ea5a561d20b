"""The decoded images of all splits: from the cache on disk, or decoded and kept there where that pays."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import features

from truelift.data.cache import Arrays, kept
from truelift.data.decode import Pixels, decode, decode_indices, none_decoded
from truelift.data.digest import of_times
from truelift.data.listing import IntArray, Labels, Listing
from truelift.data.options import DataOptions

# Pillow, and the libraries that it decodes with.
_DECODERS = ("pil", "libjpeg_turbo", "zlib", "webp", "libtiff", "jpg_2000", "avif")

Chosen = Mapping[str, tuple[Listing, IntArray]]
"""By split, the listing that its images come from and their ascending indices in it."""


def decode_splits(chosen: Chosen, options: DataOptions) -> dict[str, tuple[Pixels, Labels]]:
    """By split what `decode` gives.

    Splits of one listing are kept as one, since another seed splits the same images otherwise. Images in memory are not
    kept, nor are those whose changes could not be noticed.

    Raises:
        InputError: As `decode`.
    """
    resize, on_error = options.resize, options.on_error
    found: dict[str, tuple[Pixels, Labels]] = {}
    for split, (listing, indices) in chosen.items():
        if split in found:
            continue
        if not options.cache or listing.content is None or not listing.files():
            found[split] = decode(listing, indices, resize=resize, on_error=on_error)
            continue
        parts = {name: wanted for name, (of, wanted) in chosen.items() if of is listing}
        pixels, decoded = _decoded(listing, np.unique(np.concatenate(list(parts.values()))), options)
        found |= {name: _part(listing, wanted, pixels, decoded) for name, wanted in parts.items()}
    return {split: found[split] for split in chosen}


def _decoded(listing: Listing, indices: IntArray, options: DataOptions) -> tuple[Pixels, IntArray]:
    """The images at ascending indices and the indices of those that could be decoded."""
    about = _about(listing, indices, options)

    def make() -> Arrays:
        pixels, decoded = decode_indices(listing, indices, resize=options.resize, on_error=options.on_error)
        return {"pixels": pixels, "indices": decoded}

    arrays = kept(about, make, lambda: _about(listing, indices, options) == about)
    return arrays["pixels"], arrays["indices"]


def _about(listing: Listing, indices: IntArray, options: DataOptions) -> dict[str, Any]:
    """Everything that the pixels depend on."""
    assert listing.content is not None, "the caller has looked"
    return {
        "kind": "decoded images",
        "content": listing.content().hex(),
        "changed": of_times(listing.files()).hex(),
        "column": options.image_column,
        "indices": hashlib.sha256(indices.tobytes()).hexdigest(),
        "resize": options.resize,
        "on_error": options.on_error,
        "decoders": [features.version(name) for name in _DECODERS],
    }


def _part(listing: Listing, wanted: IntArray, pixels: Pixels, decoded: IntArray) -> tuple[Pixels, Labels]:
    """A split's pixels and labels, out of those of all splits."""
    rows = np.flatnonzero(np.isin(decoded, wanted))
    if not len(rows):
        raise none_decoded(listing, wanted)
    if len(rows) == len(decoded):  # a view: what lies in the cache's file is not copied
        return pixels, listing.labels[decoded]
    return pixels[rows], listing.labels[decoded[rows]]
