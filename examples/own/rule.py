"""A gradient rule of one's own: gradient.name = "examples/own/rule.py:NormalisedGradient"."""

import torch
from torch import Tensor, nn


class NormalisedGradient:
    """The direction of the losses' summed gradient, of a length of its own."""

    def __init__(self, network: nn.Module, length: float = 1.0) -> None:
        self.network = network
        self.length = length

    def backward(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        torch.autograd.backward(list(losses.values()))
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, self.length / norm.clamp(min=1e-12))
        return {"gradient_norm": norm}
