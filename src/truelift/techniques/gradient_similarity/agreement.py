"""Whether all processes reach the same weights: what they average must be the same numbers of the same network."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

# A whole number type of each size, to read a weight's bits by.
_WHOLE = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Fingerprints:
    """A number for the weights that each loss reaches, which processes can compare.

    There are no names to compare where no network is given, and two layers may have one shape. But replicas have equal
    weights, so the weights say which is which, and a head that is shared out over processes is found out too. The bits
    are summed as whole numbers, which gives the same on any hardware. It is done only where the weights reached are not
    those of the step before.
    """

    def __init__(self) -> None:
        self._weights: list[list[Tensor]] = []
        self._number = 0

    def of(self, weights: Sequence[Sequence[Tensor]]) -> int:
        """A number of 56 bits, above 0, for the weights of each loss in their order."""
        ids = [[id(weight) for weight in of_loss] for of_loss in weights]
        # The weights of the step before are held, so that none of their ids can have become another's.
        if ids != [[id(weight) for weight in of_loss] for of_loss in self._weights] or not self._number:
            self._weights = [list(of_loss) for of_loss in weights]
            self._number = _fingerprint(self._weights)
        return self._number


def _fingerprint(weights: Sequence[Sequence[Tensor]]) -> int:
    once = {id(weight): weight for of_loss in weights for weight in of_loss}
    sums = [_bits(weight.detach()).sum(dtype=torch.int64).cpu() for weight in once.values()]
    sum_of = dict(zip(once, torch.stack(sums).tolist() if sums else [], strict=True))
    described = [[(tuple(w.shape), str(w.dtype), sum_of[id(w)]) for w in of_loss] for of_loss in weights]
    return 1 + int.from_bytes(hashlib.blake2b(repr(described).encode(), digest_size=7).digest(), "big")


def _bits(tensor: Tensor) -> Tensor:
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.view(_WHOLE[tensor.dtype.itemsize])
