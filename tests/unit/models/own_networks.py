"""Networks as users, timm and torchvision write them, small: what heads are found in."""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Named(nn.Module):
    """torchvision's ResNet: pooling, flatten, `fc`."""

    def __init__(self, classes: int = 5, in_channels: int = 3, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(F.relu(self.bn(self.conv(x))).mean((2, 3)))
        return y


class Sequence(nn.Module):
    """torchvision's VGG and MobileNet: a `classifier` of several layers, dropout between and after."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Sequential(
            nn.Linear(6, num_classes), nn.ReLU(True), nn.Dropout(), nn.Linear(num_classes, num_classes), nn.Dropout(0.1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return y


class Transformer(nn.Module):
    """A vision transformer: class token, attention, a head of zeros (`heads.head`)."""

    def __init__(self, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 1 + (image_size // 4) ** 2, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.heads = nn.Sequential()
        head = nn.Linear(8, num_classes)
        self.heads.add_module("head", head)
        nn.init.zeros_(head.weight)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.position
        y: Tensor = self.heads(self.block(tokens)[:, 0])
        return y


class Timm(nn.Module):
    """timm's convention: get_classifier, forward_features and forward_head."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_chans, 8, 3)
        self.unused = nn.Linear(8, num_classes)
        self.classifier = nn.Linear(8, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def forward_features(self, x: Tensor) -> Tensor:
        y: Tensor = self.stem(x)
        return y

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = x.mean((2, 3))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.forward_features(x)
        self.unused(maps.mean((2, 3)).detach())  # used, and without effect
        return self.forward_head(maps)


class Tokens(nn.Module):
    """The head before the mean over the pixels; linear, so the same as after it."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.score = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.score(self.conv(x).flatten(2).transpose(1, 2)).mean(1)
        return y


class LogSoftmax(Named):
    """Ends with a log-softmax: the linear layer's output is not the network's."""

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(super().forward(x), 1)


class Convolutional(nn.Module):
    """No linear layer at all."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x).mean((2, 3))
        return y


class Perceptron(nn.Module):
    """A head of two layers, that has to be named."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, classes), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mlp(self.conv(x).mean((2, 3)))
        return y


class Auxiliary(Named):
    """Inception: more outputs in training than in inference."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        return SimpleNamespace(logits=logits, aux=logits) if self.training else logits


def wide(classes: int, in_channels: int, width: int = 16) -> nn.Module:
    """A function that builds."""
    return Named(classes, in_channels, width)


def maps(classes: int) -> nn.Module:
    """Gives maps of logits."""
    return nn.Conv2d(3, classes, 1)


def integers(classes: int) -> nn.Module:
    """Gives whole numbers."""

    class Rounded(Named):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).long()

    return Rounded(classes)


def fewer(classes: int) -> nn.Module:
    """Has a class too few."""
    return Named(classes - 1)


def exiting() -> nn.Module:
    """Ends the process when it is called with images."""

    class Exiting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise SystemExit(3)

    return Exiting()


def raising() -> nn.Module:
    """Raises when it is called with images."""

    class Raising(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no\nmemory")

    return Raising()


def no_network() -> str:
    """Gives none."""
    return "network"


not_callable = 3
