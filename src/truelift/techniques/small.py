"""Networks and images so small that a pass can be made for counting alone.

A pass over tensors without data (torch's meta device) computes nothing, but torch works out shapes in Python then, and
imports symbolic algebra and its compiler for that: most of a second, once a process. For little images and networks
the computation itself is a matter of milliseconds.
"""

import math
from collections.abc import Sequence

from torch import nn

MOST = 2**30
"""Multiplications of a forward pass: 20 to 50 ms of a core."""


def is_small(network: nn.Module, shape: Sequence[int]) -> bool:
    """Whether a pass takes some milliseconds: N·P·H·W ≤ 2³⁰, where an image uses a weight once a pixel at most.

    Networks that enlarge images, or use weights several times, take longer: who counts by it needs a limit besides.

    Args:
        network: Of P parameters.
        shape: Of a batch, (N, C, H, W), or (N, D).
    """
    parameters = sum(p.numel() for p in network.parameters())
    return math.prod((shape[0], *shape[2:])) * parameters <= MOST
