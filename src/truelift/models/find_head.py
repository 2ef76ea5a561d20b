"""Where in a user's own network the classifier head is.

Shapes: N images, C channels, H×W pixels, D features, K classes.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from truelift.errors import InputError, did_you_mean
from truelift.models.example import untouched


def find_head(network: nn.Module, images: Tensor) -> str | None:
    """The dotted name of the last linear layer that the logits depend on, if they are just its output.

    A linear layer with K outputs is the head if the network's output is that layer of what the rest of the network
    makes (N, D). That is tried out, the last used layer first: with fresh random weights in its place the network must
    give the same as with nothing in its place and those weights afterwards. So dropout, a squeeze or a mean over tokens
    may follow the head, but no softmax; and a head whose weights are all 0, as a vision transformer's at the start, is
    found too. So are the heads of timm and torchvision (`get_classifier()`, `fc`, `classifier`, `head`, `heads`), which
    are such layers whatever their names.

    Args:
        network: From images to logits. As it was afterwards.
        images: An example (N, C, H, W), N at least 2.

    Returns:
        The name, or None where there is no such layer.
    """
    with untouched(network, training=False):
        classes = network(images).shape[1]
        for layer in reversed(_used_linear_layers(network, images)):
            if layer.out_features == classes and _is_head(network, layer, images):
                names: dict[nn.Module, str] = {module: name for name, module in network.named_modules()}
                return names[layer]
    return None


def named_head(network: nn.Module, name: str) -> nn.Module:
    """The module of a network with this dotted name.

    Raises:
        InputError: There is none; the nearest name is told.
    """
    modules: dict[str, nn.Module] = dict(network.named_modules())
    modules.pop("")
    if name not in modules:
        hint = did_you_mean(name, modules)
        raise InputError(f'model.head must be the name of a module of the network, got "{name}".{hint}')
    return modules[name]


def replace_everywhere(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever in the network `old` stands."""
    for module in list(network.modules()):
        for name, child in module._modules.items():
            if child is old:
                module._modules[name] = new


@contextlib.contextmanager
def replaced(network: nn.Module, old: nn.Module, new: nn.Module) -> Iterator[None]:
    """Within, `new` stands wherever `old` stands in the network."""
    replace_everywhere(network, old, new)
    try:
        yield
    finally:
        replace_everywhere(network, new, old)


def _used_linear_layers(network: nn.Module, images: Tensor) -> list[nn.Linear]:
    """In the order of their last use."""
    used: list[nn.Linear] = []

    def note(module: nn.Module, *_: object) -> None:
        assert isinstance(module, nn.Linear), "only those are watched"
        if module in used:
            used.remove(module)
        used.append(module)

    watched = [module for module in network.modules() if isinstance(module, nn.Linear)]
    handles: list[RemovableHandle] = [module.register_forward_hook(note) for module in watched]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return used


def _is_head(network: nn.Module, layer: nn.Linear, images: Tensor) -> bool:
    probe = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
    probe.to(layer.weight)
    try:
        with replaced(network, layer, probe):
            expected = network(images)
        with replaced(network, layer, nn.Identity()):
            features = network(images)
    except Exception:  # without it, or with another object in its place, the network does not run: it is no head
        return False
    if not isinstance(features, Tensor) or features.shape != (len(images), layer.in_features):
        return False
    return close(probe(features), expected)


def close(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal but for rounding, which the largest number bounds."""
    if one.shape != other.shape:
        return False
    largest = float(other.abs().max())
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-4 * largest + 1e-12))
