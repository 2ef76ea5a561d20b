"""The blocks of residual networks: basic and bottleneck, activated after the addition or before the convolutions.

He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", arXiv 1512.03385; "Identity Mappings in Deep
Residual Networks", arXiv 1603.05027. Which deviates from which is said at each block.

Shapes: N images, C channels, H×W pixels. Every block maps (N, channels_in, H, W) to (N, channels_out, H/stride,
W/stride), sides rounded up.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import known, require

Shortcut = Literal["A", "B", "C"]
BatchNormPlace = Literal["before", "after"]

BOTTLENECK_EXPANSION = 4
"""A bottleneck's channels out, over the channels of its 3×3 convolution."""


@dataclass(frozen=True, kw_only=True)
class ShortcutOptions:
    """The option that residual networks share."""

    shortcut: Shortcut | None = None
    """Where the shape changes: A (the CIFAR networks' default) pads with zeros, B (the others') projects by a 1×1
    convolution; C projects in every block."""


def norm_relu(channels: int) -> nn.Sequential:
    """Batch norm and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class PadShortcut(nn.Module):
    """Option A: every `stride`-th pixel, and zeros for the channels that the input lacks. No parameters.

    Raises:
        InputError: `channels_out` is below `channels_in`.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        require("channels_out", channels_out, channels_out >= channels_in, f"at least {channels_in} for shortcut A")
        self.stride = stride
        self.missing = channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        # A pooling window of one pixel is x[:, :, ::stride, ::stride], but its gradient stays channels-last in memory.
        return F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.missing))


def projects(option: Shortcut, channels_in: int, channels_out: int, stride: int) -> bool:
    """Whether a shortcut is a projection: B's where the shape changes, C's always, A's never.

    Raises:
        InputError: There is no such option.
    """
    known("shortcut", option, get_args(Shortcut))
    return option == "C" or (option == "B" and (channels_in != channels_out or stride > 1))


def plain_shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """A shortcut without parameters: the identity, or option A's padding where the shape changes."""
    same_shape = channels_in == channels_out and stride == 1
    return nn.Identity() if same_shape else PadShortcut(channels_in, channels_out, stride)


def make_shortcut(option: Shortcut, channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """A pads and B projects where the shape changes, C projects always; to project is a 1×1 convolution and a norm."""
    if not projects(option, channels_in, channels_out, stride):
        return plain_shortcut(channels_in, channels_out, stride)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: y = [ReLU](BN(conv(ReLU(BN(conv(x))))) + shortcut(x)).

    With `batch_norm="after"` the second batch norm comes after the addition: y = [ReLU](BN(conv(…) + shortcut(x))).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        *,
        shortcut: Shortcut,
        batch_norm: BatchNormPlace = "before",
        last_relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = make_shortcut(shortcut, channels_in, channels_out, stride)
        self.batch_norm = batch_norm
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        residual = self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))
        if self.batch_norm == "before":
            y = self.bn2(residual).add_(self.shortcut(x))
        else:
            y = self.bn2(residual.add_(self.shortcut(x)))
        return F.relu(y, inplace=True) if self.last_relu else y

    @property
    def branch_end(self) -> nn.Module:
        """The module whose output is what the block adds to its shortcut."""
        return self.bn2 if self.batch_norm == "before" else self.conv2


class Bottleneck(nn.Module):
    """Convolutions 1×1, 3×3 and 1×1, each with a batch norm; ReLU after the first two, and after the addition.

    The 3×3 convolution has `channels_out` / 4 channels, and the stride. The paper has the stride in the first 1×1
    convolution; torchvision, timm and the weights they publish have it here.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, shortcut: Shortcut) -> None:
        super().__init__()
        inner = channels_out // BOTTLENECK_EXPANSION
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.shortcut = make_shortcut(shortcut, channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y)).add_(self.shortcut(x))
        return F.relu(y, inplace=True)

    @property
    def branch_end(self) -> nn.Module:
        """The module whose output is what the block adds to its shortcut."""
        return self.bn3


class PreactivatedBlock(nn.Module):
    """Batch norm and ReLU before each convolution: a = ReLU(BN(x)), y = conv(…ReLU(BN(conv(a)))) + shortcut.

    The shortcut is x itself, or option A's padding of it, so that what a block adds is never rectified on its way to
    the end; a projection, a 1×1 convolution without a norm, takes a.

    Args:
        channels_in: Of x.
        channels_out: Of y.
        stride: Of the block's (first) 3×3 convolution.
        shortcut: A pads, B projects where the shape changes, C projects always.
        bottleneck: Convolutions 1×1, 3×3 (of `channels_out` / 4 channels) and 1×1 instead of two 3×3.
        activated: Whether x is already activated, so that a = x: the network's first block, arXiv 1603.05027, appendix.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int,
        *,
        shortcut: Shortcut,
        bottleneck: bool,
        activated: bool,
    ) -> None:
        super().__init__()
        self.activation = nn.Identity() if activated else norm_relu(channels_in)
        if bottleneck:
            inner = channels_out // BOTTLENECK_EXPANSION
            self.residual = nn.Sequential(
                nn.Conv2d(channels_in, inner, 1, bias=False),
                *norm_relu(inner),
                nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False),
                *norm_relu(inner),
                nn.Conv2d(inner, channels_out, 1, bias=False),
            )
        else:
            self.residual = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
                *norm_relu(channels_out),
                nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            )
        self.projects = projects(shortcut, channels_in, channels_out, stride)
        self.shortcut = (
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            if self.projects
            else plain_shortcut(channels_in, channels_out, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """From (N, channels_in, H, W) to (N, channels_out, H/stride, W/stride)."""
        activated = self.activation(x)
        y: Tensor = self.residual(activated)
        return y.add_(self.shortcut(activated if self.projects else x))

    @property
    def branch_end(self) -> nn.Module:
        """The module whose output is what the block adds to its shortcut."""
        return self.residual
