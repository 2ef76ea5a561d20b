"""A change to training images of one's own: augmentation.names = ["examples/own/augmentation.py:noise"]."""

import torch
from torch import Tensor


def noise(images: Tensor, generator: torch.Generator, sd: float = 0.1) -> Tensor:
    """Normal noise on every pixel, in units of the images' own standard deviation."""
    return images + sd * torch.randn(images.shape, generator=generator).to(images)
