"""Wide residual networks for small images. N images, C channels, H×W pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import whole
from truelift.models.classifier import Classifier, check_depth, pooled
from truelift.models.family import Family, NoOptions


class WideBlock(nn.Module):
    """x + conv(ReLU(BN(conv(ReLU(BN(x)))))); where the shape changes, a 1×1 convolution of ReLU(BN(x)) instead of x."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        same = channels_in == channels_out and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        active = F.relu(self.bn1(x), inplace=True)
        residual = self.conv2(F.relu(self.bn2(self.conv1(active)), inplace=True))
        around = x if self.shortcut is None else self.shortcut(active)
        y: Tensor = around + residual
        return y

    @property
    def branch_end(self) -> nn.Module:
        """The module whose output is what the block adds to its input."""
        return self.conv2


class WideResNet(Classifier):
    """WRN-depth-widen: a 3×3 convolution, three stages of (depth − 4)/6 wide blocks, norm, head.

    Args:
        depth: 6n+4 with n ≥ 1: 16, 22, 28, 40, ….
        widen: Widening factor k: the stages have 16k, 32k and 64k channels; at least 1.
        classes: K, at least 2.
        in_channels: C, at least 1.

    Raises:
        InputError: `depth` is not 6n+4, or `widen` is below 1.

    Source:
        Zagoruyko, Komodakis, "Wide Residual Networks", arXiv 1605.07146; without dropout.
    """

    stride = 4

    def __init__(self, depth: int, widen: int, classes: int, *, in_channels: int = 3) -> None:
        super().__init__()
        _check_size(depth, widen)
        self.stem = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        blocks = []
        channels = 16
        for stage in range(3):
            for block in range((depth - 4) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(WideBlock(channels, 16 * widen * 2**stage, stride))
                channels = 16 * widen * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.feature_size = channels
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to the mean over the pixels of the last feature map (N, D)."""
        return pooled(F.relu(self.norm(self.blocks(self.stem(images))), inplace=True))

    def layers(self) -> list[nn.Module]:
        """The first convolution, each block, the head with the last norm."""
        return [self.stem, *self.blocks, nn.ModuleList([self.norm, self.head])]


_MOST_TIMES_WIDER = 256


def _check_size(depth: int, widen: int) -> None:
    check_depth("wide residual network", depth, 4)
    whole("a wide residual network's factor", widen, 1, _MOST_TIMES_WIDER)


def _check(options: NoOptions, depth: int, widen: int) -> None:
    _check_size(depth, widen)


def _build(options: NoOptions, depth: int, widen: int, *, classes: int, in_channels: int) -> WideResNet:
    return WideResNet(depth, widen, classes, in_channels=in_channels)


FAMILY = Family(
    r"wrn-(\d{1,18})-(\d{1,18})",
    ("wrn-16-4", "wrn-28-10", "wrn-40-4"),
    NoOptions,
    _check,
    _build,
    traits=frozenset({"blocks", "residual"}),
)
