"""A loss without parameters is a function: objective.name = "examples/own/focal.py:focal"."""

import torch.nn.functional as F
from torch import Tensor


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """(1 − p)^γ·cross entropy, p the probability of the label; Lin et al., 2017."""
    loss = F.cross_entropy(logits, labels, reduction="none")
    return ((1 - (-loss).exp()) ** gamma * loss).mean()
