"""What every network here has: features and a head, apart."""

from torch import Tensor, nn


class Classifier(nn.Module):
    """A network whose features and classifier head can be had apart, so that an objective can replace the head.

    Shapes: N images, C channels, H×W pixels, D features, K classes.

    Attributes:
        feature_size: D.
        stride: How much smaller, in each direction, the last feature map is than the image.
        head: From features (N, D) to logits (N, K).
    """

    feature_size: int
    stride: int
    head: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to features (N, D)."""
        raise NotImplementedError

    def layers(self) -> list[nn.Module]:
        """The layers in order from the input, the head last; together they hold every parameter once."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to logits (N, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits
