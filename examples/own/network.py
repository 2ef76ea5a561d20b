"""A network of one's own: model.name = "examples/own/network.py:Patches". Its features and its head are found."""

from torch import Tensor, nn


class Patches(nn.Module):
    """Non-overlapping patches, one hidden layer on each, and the mean over them."""

    def __init__(self, classes: int, in_channels: int, width: int = 32, patch: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.gelu(self.norm(self.patches(images)))
        x = x + nn.functional.gelu(self.mix(x))
        return self.classifier(x.mean((2, 3)))
