"""Residual networks for small images: 6n+2 layers, with one named option for each ablation.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, section 4.2; the placement of
batch norm and of the last ReLU as compared by gcr/torch-residual-networks.

Shapes: N images, C channels, H×W pixels.
"""

from dataclasses import dataclass
from typing import get_args

from torch import Tensor, nn

from truelift.errors import InputError, known, whole
from truelift.models.blocks import BatchNormPlace, ResidualBlock, Shortcut, ShortcutOptions
from truelift.models.classifier import Classifier, check_depth, pooled
from truelift.models.family import Family, WidthOptions, pick
from truelift.models.imagenet_resnet import BLOCKS

_KIND = "CIFAR residual network"


@dataclass(frozen=True, kw_only=True)
class CifarResNetOptions(WidthOptions, ShortcutOptions):
    """The options of CIFAR residual networks."""

    batch_norm: BatchNormPlace = "before"
    """A CIFAR network's block: its second batch norm before or after the addition."""

    last_relu: bool = True
    """A CIFAR network's block: whether it ends with a ReLU."""


class CifarResNet(Classifier):
    """A residual network of `depth` = 6n+2 layers: a 3×3 convolution, three stages of n blocks, pooling, a head.

    Args:
        depth: Weighted layers, 6n+2 with n ≥ 1: 8, 14, 20, 32, 44, 56, 110, 1202, ….
        classes: K, at least 2.
        in_channels: C, at least 1.
        width: Channels of the first stage; the later ones have twice and four times as many.
        shortcut: A pads, B projects where the shape changes, C projects always.
        batch_norm: The block's second batch norm before or after the addition.
        last_relu: Whether a block ends with a ReLU.

    Raises:
        InputError: `depth` is not 6n+2, or `width` is below 1.
    """

    stride = 4

    def __init__(
        self,
        depth: int,
        classes: int,
        *,
        in_channels: int = 3,
        width: int = 16,
        shortcut: Shortcut = "A",
        batch_norm: BatchNormPlace = "before",
        last_relu: bool = True,
    ) -> None:
        super().__init__()
        check_depth(_KIND, depth, 2)
        whole("model.width", width, 1)
        blocks_per_stage = (depth - 2) // 6
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks = []
        channels = width
        for stage in range(3):
            for block in range(blocks_per_stage):
                stride = 2 if stage > 0 and block == 0 else 1
                channels_out = width * 2**stage
                blocks.append(
                    ResidualBlock(
                        channels,
                        channels_out,
                        stride,
                        shortcut=shortcut,
                        batch_norm=batch_norm,
                        last_relu=last_relu,
                    )
                )
                channels = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.feature_size = channels
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to the last feature map's mean over the pixels (N, 4·width)."""
        return pooled(self.blocks(self.stem(images)))

    def layers(self) -> list[nn.Module]:
        """The first convolution, each block, the head."""
        return [self.stem, *self.blocks, self.head]


def _check(options: CifarResNetOptions, depth: int) -> None:
    if depth in BLOCKS and (depth - 2) % 6:
        raise InputError(
            f"a CIFAR residual network's depth must be 6n+2, got {depth}. "
            f'Did you mean "resnet{depth}", ImageNet\'s, or "preact-resnet{depth}"?'
        )
    check_depth(_KIND, depth, 2)
    known("shortcut", pick(options.shortcut, "A"), get_args(Shortcut))


def _build(options: CifarResNetOptions, depth: int, *, classes: int, in_channels: int) -> CifarResNet:
    return CifarResNet(
        depth,
        classes,
        in_channels=in_channels,
        width=pick(options.width, 16),
        shortcut=pick(options.shortcut, "A"),
        batch_norm=options.batch_norm,
        last_relu=options.last_relu,
    )


FAMILY = Family(
    r"(?:cifar-)?resnet(\d{1,18})",
    tuple(f"resnet{depth}" for depth in (8, 20, 32, 44, 56, 110)),
    CifarResNetOptions,
    _check,
    _build,
    traits=frozenset({"blocks", "residual"}),
)
