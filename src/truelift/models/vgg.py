"""VGG for small images. N images, C channels, H×W pixels."""

from torch import Tensor, nn

from truelift.errors import InputError, whole
from truelift.models.classifier import Classifier, pooled
from truelift.models.family import Family, WidthOptions, pick

# Channels of each convolution, in those of the first; M halves the image's side by a maximum over 2×2.
_PLANS: dict[int, tuple[int | str, ...]] = {
    11: (1, "M", 2, "M", 4, 4, "M", 8, 8, "M", 8, 8, "M"),
    13: (1, 1, "M", 2, 2, "M", 4, 4, "M", 8, 8, "M", 8, 8, "M"),
    16: (1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M"),
    19: (1, 1, "M", 2, 2, "M", 4, 4, 4, 4, "M", 8, 8, 8, 8, "M", 8, 8, 8, 8, "M"),
}


class Vgg(Classifier):
    """VGG of 11, 13, 16 or 19 layers with batch norm, and one linear layer as head, as usual for CIFAR.

    Deviation: the paper's three linear layers of 4,096 are for ImageNet's photographs; on images of 32 pixels the last
    feature map is a single pixel, and one layer follows.

    Args:
        depth: 11, 13, 16 or 19; the depths of the paper, whatever the linear layers here.
        classes: K, at least 2.
        in_channels: C, at least 1.
        width: Channels of the first convolution, at least 1; the others have 2, 4 and 8 times as many. The paper's: 64.

    Raises:
        InputError: There is no such depth, or `width` is below 1.

    Source:
        Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556;
        batch norm after each convolution.
    """

    stride = 32

    def __init__(self, depth: int, classes: int, *, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        whole("model.width", width, 1)
        _check_depth(depth)
        stages: list[nn.Module] = []
        channels = in_channels
        for entry in _PLANS[depth]:
            if isinstance(entry, str):
                stages[-1].append(nn.MaxPool2d(2))  # type: ignore[operator]
            else:
                convolution = nn.Conv2d(channels, entry * width, 3, padding=1, bias=False)
                channels = entry * width
                stages.append(nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)))
        self.blocks = nn.Sequential(*stages)
        self.feature_size = channels
        self.head = nn.Linear(channels, classes)

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to the mean over the pixels of the last feature map (N, 8·width)."""
        return pooled(self.blocks(images))

    def layers(self) -> list[nn.Module]:
        """Each convolution with its norm, the head."""
        return [*self.blocks, self.head]


def _check_depth(depth: int) -> None:
    if depth not in _PLANS:
        nearest = min(_PLANS, key=lambda known: abs(known - depth))
        raise InputError(f"a VGG's depth must be 11, 13, 16 or 19, got {depth}. Did you mean {nearest}?")


def _check(options: WidthOptions, depth: int) -> None:
    _check_depth(depth)


def _build(options: WidthOptions, depth: int, *, classes: int, in_channels: int) -> Vgg:
    return Vgg(depth, classes, in_channels=in_channels, width=pick(options.width, 64))


FAMILY = Family(r"vgg(\d{1,18})", tuple(f"vgg{depth}" for depth in _PLANS), WidthOptions, _check, _build)
