"""A network's head: a linear layer to fewer features before it, or another one in its place."""

from torch import Tensor, nn

from truelift.models import Classifier, Embedded


def embed(network: Classifier, size: int | None, head: nn.Module | None, classes: int) -> None:
    """Give the network a head, with a linear layer to `size` features before it.

    Args:
        network: Its own linear head stays where neither is given.
        size: None for no such layer.
        head: From the (embedded) features to logits; None for a linear layer.
        classes: K.
    """
    if head is None and size is not None:
        head = nn.Linear(size, classes)
    if head is not None:
        network.head = head if size is None else Embedded(network.feature_size, size, head)


def classifier_of(network: Classifier) -> nn.Module:
    """From what `embedded` gives to logits."""
    classifier: nn.Module = network.head.classifier if isinstance(network.head, Embedded) else network.head
    return classifier


def embedded(network: Classifier, images: Tensor) -> Tensor:
    """The features that the classifier sees, (N, D)."""
    features = network.features(images)
    if isinstance(network.head, Embedded):
        features = network.head.embedding(features)
    return features
