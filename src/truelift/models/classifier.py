"""What every network here has: features and a head, apart."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError, require


class Classifier(nn.Module):
    """A network whose features and classifier head can be had apart, so that an objective can replace the head.

    A network of this package also has `layers()`: its layers in order from the input, the head last, which together
    hold every parameter once.

    Shapes: N images, C channels, H×W pixels, D features, K classes.

    Attributes:
        feature_size: D.
        stride: How much smaller, in each direction, the last feature map is than the image.
        head: From features (N, D) to logits (N, K).
    """

    feature_size: int
    stride: int
    head: nn.Module
    _kept: frozenset[nn.Module] = frozenset()

    def keep_weights(self, modules: Iterable[nn.Module]) -> None:
        """Have `initialise` leave the weights of these modules as they are: they are trained, or a user's own."""
        self._kept = self._kept | frozenset(modules)

    @property
    def kept(self) -> frozenset[nn.Module]:
        """The modules whose weights `initialise` leaves as they are."""
        return self._kept

    def features(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to features (N, D)."""
        raise NotImplementedError

    def compile_features(self) -> None:
        """Compile all but the head with torch.compile; some objectives see the features, and a head is small.

        For training alone: evaluation's few passes, with batches of two other sizes, would be compiled twice more.
        """
        eager = self.features
        compiled = torch.compile(eager)

        def features(images: Tensor) -> Tensor:
            found: Tensor = (compiled if self.training else eager)(images)
            return found

        self.features = features  # type: ignore[method-assign]

    def forget_compiled(self) -> None:
        """Be as before `compile_features`."""
        vars(self).pop("features", None)

    def forward(self, images: Tensor) -> Tensor:
        """From images (N, C, H, W) to logits (N, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def pooled(maps: Tensor) -> Tensor:
    """The mean over all pixels, from (N, D, H, W) to (N, D); unlike `mean`, its gradient stays channels-last."""
    return F.avg_pool2d(maps, maps.shape[2:]).flatten(1)


MOST_LAYERS = 10_000
"""Of any network: the deepest that were ever trained have a tenth of it, and more would only fill memory."""


def check_depth(kind: str, depth: int, rest: int) -> None:
    """Refuse a depth that is not 6n + `rest` with n ≥ 1, or above `MOST_LAYERS`.

    Raises:
        InputError: It is; the message names the nearest.
    """
    require(f"a {kind}'s depth", depth, depth <= MOST_LAYERS, f"at most {MOST_LAYERS}")
    if depth < 6 + rest or (depth - rest) % 6:
        nearest = max(6 * round((depth - rest) / 6) + rest, 6 + rest)
        raise InputError(f"a {kind}'s depth must be 6n+{rest}, got {depth}. Did you mean {nearest}?")


class Embedded(nn.Module):
    """A head that first maps the features to D' others, linearly: from (N, D) to (N, K).

    Args:
        feature_size: D.
        size: D', at least 1; with 2 they can be drawn.
        classifier: From (N, D') to (N, K).
    """

    def __init__(self, feature_size: int, size: int, classifier: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Linear(feature_size, size)
        self.classifier = classifier

    def forward(self, features: Tensor) -> Tensor:
        """The classifier's output for the mapped features."""
        logits: Tensor = self.classifier(self.embedding(features))
        return logits
