"""Residual networks for photographs: 18, 34, 50, 101 and 152 layers.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", arXiv 1512.03385, section 4.1 and Table 1; with
`preactivation`, "Identity Mappings in Deep Residual Networks", arXiv 1603.05027.

Deviation: a bottleneck's stride is in its 3×3 convolution, as in torchvision, not in its first 1×1 convolution.

Shapes: N images, C channels, H×W pixels.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from torch import Tensor, nn

from truelift.errors import InputError, known, whole
from truelift.models.blocks import (
    BOTTLENECK_EXPANSION,
    Bottleneck,
    PreactivatedBlock,
    ResidualBlock,
    Shortcut,
    ShortcutOptions,
    norm_relu,
)
from truelift.models.classifier import Classifier, pooled
from truelift.models.family import Family, WidthOptions, pick

Stem = Literal["imagenet", "small"]

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""For each depth, the blocks of the four stages (Table 1): two-layer ones up to 34 layers, then bottlenecks."""


@dataclass(frozen=True, kw_only=True)
class ImageNetResNetOptions(WidthOptions, ShortcutOptions):
    """The options of residual networks for photographs."""

    stem: Stem | None = None
    """The first layers of an imagenet-resnet (default "imagenet": a 7×7 convolution and a maximum, a quarter of the
    image's side) or of a preact-resnet (default "small": a 3×3 convolution, the whole side)."""


class ImageNetResNet(Classifier):
    """A residual network of `depth` layers: a stem, four stages of blocks, pooling, a head.

    Args:
        depth: Weighted layers: 18, 34, 50, 101 or 152.
        classes: K, at least 2.
        in_channels: C, at least 1.
        width: Channels of the first stage's 3×3 convolutions; each later stage has twice its predecessor's.
        shortcut: A pads, B projects where the shape changes, C projects always.
        preactivation: Batch norm and ReLU before each convolution, and once more before the pooling. The stem's serve
            the first block, on both of its ways.
        stem: "imagenet" is a 7×7 convolution of stride 2 and a 3×3 maximum of stride 2; "small", a 3×3 convolution
            of stride 1, is for images of 64 pixels and less.

    Raises:
        InputError: There is no such depth, shortcut or stem, or `width` is below 1.
    """

    def __init__(
        self,
        depth: int,
        classes: int,
        *,
        in_channels: int = 3,
        width: int = 64,
        shortcut: Shortcut = "B",
        preactivation: bool = False,
        stem: Stem = "imagenet",
    ) -> None:
        super().__init__()
        _check_kind(depth, stem)
        whole("model.width", width, 1)
        self.depth = depth
        self.width = width
        self.shortcut: Shortcut = shortcut
        self.preactivation = preactivation
        self.stem_kind: Stem = stem
        self.stride = 32 if stem == "imagenet" else 8
        if stem == "imagenet":
            self.stem = nn.Sequential(
                nn.Conv2d(in_channels, width, 7, 2, padding=3, bias=False),
                *norm_relu(width),
                nn.MaxPool2d(3, 2, padding=1),
            )
        else:
            self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1, bias=False), *norm_relu(width))
        bottleneck = depth >= 50
        self.blocks = nn.Sequential()
        channels = width
        for stage, count in enumerate(BLOCKS[depth], start=1):
            channels_out = width * 2 ** (stage - 1) * (BOTTLENECK_EXPANSION if bottleneck else 1)
            for block in range(count):
                stride = 2 if stage > 1 and block == 0 else 1
                made: nn.Module
                if preactivation:
                    made = PreactivatedBlock(
                        channels,
                        channels_out,
                        stride,
                        shortcut=shortcut,
                        bottleneck=bottleneck,
                        activated=stage == 1 and block == 0,
                    )
                elif bottleneck:
                    made = Bottleneck(channels, channels_out, stride, shortcut=shortcut)
                else:
                    made = ResidualBlock(channels, channels_out, stride, shortcut=shortcut)
                # The names do not depend on the depth, and differ from the published ones by a few letters.
                self.blocks.add_module(f"stage{stage}_block{block}", made)
                channels = channels_out
        self.final = norm_relu(channels) if preactivation else nn.Identity()
        self.feature_size = channels
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to the last feature map's mean over the pixels (N, D)."""
        return pooled(self.final(self.blocks(self.stem(images))))

    def layers(self) -> list[nn.Module]:
        """The stem, each block, with `preactivation` the norm before the pooling, the head."""
        return [self.stem, *self.blocks, *([self.final] if self.preactivation else []), self.head]


def _check_kind(depth: int, stem: Stem) -> None:
    if depth not in BLOCKS:
        nearest = min(BLOCKS, key=lambda there: abs(there - depth))
        depths = ", ".join(map(str, BLOCKS))
        raise InputError(
            f"an ImageNet residual network's depth must be one of {depths}, got {depth}. Did you mean {nearest}?"
        )
    known("stem", stem, get_args(Stem))


def _stem(options: ImageNetResNetOptions, preactivation: bool) -> Stem:
    stem: Stem = pick(options.stem, "small" if preactivation else "imagenet")
    return stem


def _check(options: ImageNetResNetOptions, depth: int) -> None:
    _check_kind(depth, _stem(options, False))
    known("shortcut", pick(options.shortcut, "B"), get_args(Shortcut))


def _build(
    options: ImageNetResNetOptions, depth: int, *, classes: int, in_channels: int, preactivation: bool
) -> ImageNetResNet:
    return ImageNetResNet(
        depth,
        classes,
        in_channels=in_channels,
        width=pick(options.width, 64),
        shortcut=pick(options.shortcut, "B"),
        preactivation=preactivation,
        stem=_stem(options, preactivation),
    )


def _family(prefix: str, traits: frozenset[str], *, preactivation: bool) -> Family:
    return Family(
        rf"{prefix}-resnet(\d{{1,18}})",
        tuple(f"{prefix}-resnet{depth}" for depth in BLOCKS),
        ImageNetResNetOptions,
        _check,
        partial(_build, preactivation=preactivation),
        traits,
    )


FAMILY = _family("imagenet", frozenset({"blocks", "residual", "published"}), preactivation=False)
PREACTIVATED_FAMILY = _family("preact", frozenset({"blocks", "residual"}), preactivation=True)
