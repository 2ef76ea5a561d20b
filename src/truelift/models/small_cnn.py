"""Two convolutions for small grey images. N images, C channels, H×W pixels."""

import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import whole
from truelift.models.classifier import Classifier
from truelift.models.family import Family, WidthOptions, pick


class SmallCnn(Classifier):
    """Twice: a 3×3 convolution, ReLU, and a maximum over 2×2; then the mean over 2×2 cells of the image, and a head.

    Args:
        classes: K, at least 2.
        in_channels: C, at least 1.
        width: Channels of the first convolution, at least 1; the second has twice as many.

    Raises:
        InputError: `width` is below 1.
    """

    stride = 4

    def __init__(self, classes: int, *, in_channels: int = 1, width: int = 32) -> None:
        super().__init__()
        whole("model.width", width, 1)
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.feature_size = 2 * width * 4
        self.head = nn.Linear(self.feature_size, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to features (N, 8·width)."""
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        maps = F.max_pool2d(F.relu(self.conv2(maps)), 2)
        return F.adaptive_avg_pool2d(maps, 2).flatten(1)

    def layers(self) -> list[nn.Module]:
        """The two convolutions, the head."""
        return [self.conv1, self.conv2, self.head]


def _build(options: WidthOptions, *, classes: int, in_channels: int) -> SmallCnn:
    return SmallCnn(classes, in_channels=in_channels, width=pick(options.width, 32))


FAMILY = Family("small-cnn", ("small-cnn",), WidthOptions, lambda options: None, _build, traits=frozenset())
