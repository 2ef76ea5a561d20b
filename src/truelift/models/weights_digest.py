"""Whether a file of weights holds what it held before."""

import hashlib
from pathlib import Path

import torch

from truelift.errors import InputError
from truelift.models.start import PUBLISHED
from truelift.models.weights import read_tensors

_OF_TENSORS = "tensors:"
"""Before the digest of what a file's tensors are. Earlier records have one of the file's bytes, which are others each
time that the same tensors are written with some text beside them."""


def weights_digest(weights: str | None) -> str | None:
    """A digest that changes with the name, type, shape or numbers of a tensor in a file to start from.

    Args:
        weights: As `start_from` takes it; None: none are given.

    Returns:
        None where it is no file, or one that cannot be read.
    """
    if weights is None or weights == PUBLISHED:
        return None
    try:
        tensors = read_tensors(Path(weights).expanduser())
    except InputError:
        return None
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        plain = tensor.detach().to_dense().resolve_conj().resolve_neg()
        found.update(plain.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return _OF_TENSORS + found.hexdigest()[:16]


def changed_since(digest: str, weights: str | None) -> bool:
    """Whether a file to start from holds something else than at a digest, of this version or an earlier one.

    Args:
        digest: As a run recorded it.
        weights: As `start_from` takes it.

    Returns:
        False where it cannot be read.
    """
    now = weights_digest(weights) if digest.startswith(_OF_TENSORS) else _of_bytes(weights)
    return now is not None and now != digest


def _of_bytes(weights: str | None) -> str | None:
    if weights is None or weights == PUBLISHED:
        return None
    try:
        with Path(weights).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return None
