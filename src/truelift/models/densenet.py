"""DenseNet-BC for small images. N images, C channels, H×W pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import whole
from truelift.models.classifier import Classifier, check_depth, pooled
from truelift.models.family import Family, WidthOptions, pick

_KIND = "DenseNet-BC"


class DenseLayer(nn.Module):
    """x and, beside it, conv3×3(ReLU(BN(conv1×1(ReLU(BN(x)))))): `growth` channels more."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels, H, W) to (N, channels + growth, H, W)."""
        narrow = self.conv1(F.relu(self.bn1(x), inplace=True))
        return torch.cat([x, self.conv2(F.relu(self.bn2(narrow), inplace=True))], 1)


class Transition(nn.Module):
    """Half the channels, a quarter of the pixels: mean over 2×2 of conv1×1(ReLU(BN(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels, H, W) to (N, channels // 2, H/2, W/2)."""
        return F.avg_pool2d(self.conv(F.relu(self.bn(x), inplace=True)), 2)


class DenseNet(Classifier):
    """DenseNet-BC: three dense blocks of (depth − 4)/6 layers with bottlenecks, and compression by half between them.

    Args:
        depth: 6n+4 with n ≥ 1: 40, 76, 100, 190, ….
        classes: K, at least 2.
        in_channels: C, at least 1.
        growth: k, the channels that a layer adds; at least 1.

    Raises:
        InputError: `depth` is not 6n+4, or `growth` is below 1.

    Source:
        Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", arXiv 1608.06993.
    """

    stride = 4

    def __init__(self, depth: int, classes: int, *, in_channels: int = 3, growth: int = 12) -> None:
        super().__init__()
        check_depth(_KIND, depth, 4)
        whole("model.width", growth, 1)
        channels = 2 * growth
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        for stage in range(3):
            for _ in range((depth - 4) // 6):
                blocks.append(DenseLayer(channels, growth))
                channels += growth
            if stage < 2:
                blocks.append(Transition(channels))
                channels //= 2
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.feature_size = channels
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to the mean over the pixels of the last feature map (N, D)."""
        return pooled(F.relu(self.norm(self.blocks(self.stem(images))), inplace=True))

    def layers(self) -> list[nn.Module]:
        """The first convolution, each dense layer and transition, the head with the last norm."""
        return [self.stem, *self.blocks, nn.ModuleList([self.norm, self.head])]


def _check(options: WidthOptions, depth: int) -> None:
    check_depth(_KIND, depth, 4)


def _build(options: WidthOptions, depth: int, *, classes: int, in_channels: int) -> DenseNet:
    return DenseNet(depth, classes, in_channels=in_channels, growth=pick(options.width, 12))


FAMILY = Family(r"densenet(\d{1,18})", ("densenet40", "densenet76", "densenet100"), WidthOptions, _check, _build)
