"""Trying a network out on an example, without a trace. N images, C channels, H×W pixels."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

EXAMPLES = 2
"""Images of an example: batch norm refuses one where the feature map is a single pixel."""


def example_images(in_channels: int, image_size: tuple[int, int]) -> Tensor:
    """A batch of `EXAMPLES` images (N, C, H, W) of noise, the same each time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(EXAMPLES, in_channels, *image_size, generator=generator)


@contextlib.contextmanager
def untouched(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Within, the network is in training or inference mode and has no gradients; after it, all is as it was.

    That is: each module's mode, its buffers (running statistics, counters) and the random number generator.
    """
    modes = {module: module.training for module in network.modules()}
    buffers = [(buffer, buffer.detach().clone()) for buffer in network.buffers()]
    network.train(training)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for module, mode in modes.items():
            module.training = mode
