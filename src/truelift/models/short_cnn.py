"""A wide network of few layers, for trainings of minutes. N images, C channels, H×W pixels."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import whole
from truelift.models.classifier import Classifier
from truelift.models.family import Family, WidthOptions, pick
from truelift.models.partly_identity import PartlyIdentity
from truelift.models.whitening import WhiteningConvolution

Activation = Literal["gelu", "relu"]

# Of the features, before the head: the largest of 3×3 values lies well above 1, and logits shall start small.
_FEATURE_SCALE = 1 / 9


@dataclass(frozen=True, kw_only=True)
class ShortCnnOptions(WidthOptions):
    """The options of short-cnn."""

    whitening: bool = True
    """short-cnn: fit the first layer to whiten patches of the training images, and do not train its filters. false:
    train it like the others."""

    first_kernel: Literal[2, 3] = 2
    """short-cnn: side of the first layer's patches, in pixels."""

    identity_start: bool = True
    """short-cnn: convolutions begin as the identity on their inputs, as far as their outputs go. false: all weights
    are drawn."""

    activation: Activation = "gelu"
    """short-cnn: gelu or relu."""


class ShortCnn(Classifier):
    """A first layer that whitens patches, three stages of two 3×3 convolutions, a maximum over the pixels, a head.

    A stage: convolution, maximum over 2×2, batch norm, activation, convolution, batch norm, activation. Its two
    convolutions have `width`, 4·`width` and 4·`width` outputs in the three stages, without biases. The halving comes
    right behind each stage's first convolution, so most operations are done on the small maps; few wide layers keep a
    processor at its matrix products, where many narrow ones are bound by memory. Width 64: 1.97 million weights.

    Args:
        classes: K, at least 2.
        in_channels: C, at least 1.
        width: Channels of the first stage, at least 1.
        whitening: Whether the first layer's filters are fitted (`WhiteningConvolution.fit`) or trained.
        first_kernel: k of the first layer, which has 2·C·k² outputs.
        identity_start: Whether the 3×3 convolutions are `PartlyIdentity`.
        activation: gelu or relu.

    Raises:
        InputError: `width` is below 1.

    Source:
        After the network of Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv 2404.00498, section
        3, which goes back to Page, "How to Train Your ResNet", 2018. Deviations: batch norm's scales are trained too,
        and the head has a bias.
    """

    def __init__(
        self,
        classes: int,
        *,
        in_channels: int = 3,
        width: int = 64,
        whitening: bool = True,
        first_kernel: int = 2,
        identity_start: bool = True,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        whole("model.width", width, 1)
        # What the first layer takes from each side's length, and then three halvings that round down.
        self.stride = 8 + first_kernel - 1
        channels = 2 * in_channels * first_kernel**2
        first = (
            WhiteningConvolution(in_channels, first_kernel)
            if whitening
            else nn.Conv2d(in_channels, channels, first_kernel)
        )
        self.stem = nn.Sequential(first, _activated(activation))
        convolution = PartlyIdentity if identity_start else nn.Conv2d
        stages = []
        for outputs in (width, 4 * width, 4 * width):
            stages.append(
                nn.Sequential(
                    convolution(channels, outputs, 3, padding=1, bias=False),
                    nn.MaxPool2d(2),
                    nn.BatchNorm2d(outputs),
                    _activated(activation),
                    convolution(outputs, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    _activated(activation),
                )
            )
            channels = outputs
        self.blocks = nn.Sequential(*stages)
        self.feature_size = channels
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to a ninth of each map's maximum, (N, 4·width)."""
        maps: Tensor = self.blocks(self.stem(images))
        return F.max_pool2d(maps, maps.shape[2:]).flatten(1) * _FEATURE_SCALE

    def layers(self) -> list[nn.Module]:
        """The first layer, each stage, the head."""
        return [self.stem, *self.blocks, self.head]


def _activated(name: Activation) -> nn.Module:
    return nn.GELU() if name == "gelu" else nn.ReLU(inplace=True)


def _build(options: ShortCnnOptions, *, classes: int, in_channels: int) -> ShortCnn:
    return ShortCnn(
        classes,
        in_channels=in_channels,
        width=pick(options.width, 64),
        whitening=options.whitening,
        first_kernel=options.first_kernel,
        identity_start=options.identity_start,
        activation=options.activation,
    )


FAMILY = Family("short-cnn", ("short-cnn",), ShortCnnOptions, lambda options: None, _build)
