"""What every network here has: features and a head, apart."""

import itertools
from collections.abc import Callable, Iterable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError, require
from truelift.techniques.compiled_graphs import allow_graphs, compile_alike
from truelift.techniques.freezeout import tells_layers

_FORMS_OF_A_LAYER = 16
"""That may be compiled, at most: in training, frozen, and in training behind frozen ones; each for two tasks, or for a
few sizes of images."""


def _passed(layer: nn.Module, *inputs: Tensor) -> Tensor:
    """What a layer makes of its input, in a function of this package, since torch does not compile its own."""
    y: Tensor = layer._call_impl(*inputs)
    return y


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
    compiled_by_layer = False
    """Whether `compile_features` has compiled each layer by itself."""
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

    def kinds_of_layers(self) -> list[nn.Module]:
        """One layer of each kind, if it pays to compile equal ones once; else none.

        It pays where at least a third of `layers()` are as the one before. Where few are, as in a DenseNet, one graph
        of all is made sooner and is faster; hooks, as stochastic depth has them, may make unlike what looks alike.
        """
        layers = self._but_the_head()
        kinds = [next(alike) for _, alike in itertools.groupby(layers, repr)]
        hooked = any(module._forward_hooks for layer in layers for module in layer.modules())
        return kinds if len(kinds) <= len(layers) * 2 / 3 and not hooked else []

    def compile_features(self, *, by_layer: bool = False) -> None:
        """Compile all but the head with torch.compile; some objectives see the features, and a head is small.

        For training alone: evaluation's few passes, with batches of two other sizes, would be compiled twice more.

        Args:
            by_layer: Where there are `kinds_of_layers`, each layer by itself, equal ones once, so that 110 layers take
                as long as 20. Else, and where there are none, all are one graph.
        """
        kinds = self.kinds_of_layers() if by_layer else []
        if not kinds:
            self.features = self._in_training(torch.compile(self.features), self.features)  # type: ignore[method-assign]
            return
        self.compiled_by_layer = True
        allow_graphs(_FORMS_OF_A_LAYER * len(kinds))
        compiled = cache(lambda: compile_alike(_passed))  # when it is first called: it imports much
        for layer in self._but_the_head():
            layer._compiled_call_impl = self._in_training(
                lambda *inputs, layer=layer: compiled()(layer, *inputs), layer._call_impl
            )

    def _but_the_head(self) -> list[nn.Module]:
        return self.layers()[:-1] if tells_layers(self) else []  # type: ignore[operator]

    def _in_training(self, compiled: Callable[..., Tensor], eager: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*inputs: Tensor) -> Tensor:
            return (compiled if self.training else eager)(*inputs)

        return call

    def forget_compiled(self) -> None:
        """Be as before `compile_features`."""
        vars(self).pop("features", None)
        for layer in self._but_the_head() if self.compiled_by_layer else []:
            layer._compiled_call_impl = None
        self.compiled_by_layer = False

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
