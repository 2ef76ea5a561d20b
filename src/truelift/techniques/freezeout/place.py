"""Places between a network's layers: what comes out behind some, and a pass that begins there."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map_only


class _ReachedError(Exception):
    """The next layer is about to begin."""


class _PassingOn(nn.Module):
    """Does nothing with what it is given, be it one thing or several."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What it is given."""
        if len(args) == 1 and not kwargs:
            return args[0]
        return args or kwargs


def called(layer: Iterable[nn.Module]) -> list[nn.Module]:
    """A layer's modules; of mere containers, which are not called, what they hold."""
    found: list[nn.Module] = []
    for module in layer:
        found += called(module.children()) if isinstance(module, nn.ModuleList | nn.ModuleDict) else [module]
    return found


def behind(network: nn.Module, x: Any, last: Iterable[nn.Module], later: Iterable[nn.Module]) -> Any:
    """What the last of the modules `last` returns in a pass of `x`, which ends where one of the later ones begins.

    Raises:
        LookupError: None of them is called before that.
    """
    found: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        found[:] = [tree_map_only(Tensor, Tensor.clone, output)]  # what follows may work in place

    def stop(module: nn.Module, args: Any) -> None:
        raise _ReachedError

    with contextlib.ExitStack() as stack:
        for module in last:
            stack.callback(module.register_forward_hook(keep).remove)
        for module in later:
            stack.callback(module.register_forward_pre_hook(stop, prepend=True).remove)
        stack.enter_context(contextlib.suppress(_ReachedError))
        network(tree_map_only(Tensor, Tensor.clone, x))
    if not found:
        raise LookupError("the layer is not called before the next")
    return found[0]


def behind_each(network: nn.Module, x: Any, layers: Sequence[Sequence[nn.Module]]) -> tuple[dict[int, Any], Any]:
    """What is behind the first 1, 2, … layers but the last, in one pass of `x`, and what the network returns.

    That is the last output of the layer before any later one begins; there is none behind a layer that is called later.
    """
    latest: dict[int, Any] = {}
    found: dict[int, Any] = {}
    begun = 0

    def begin(number: int) -> None:
        nonlocal begun
        for before in range(begun, number):
            if before in latest:
                found[before + 1] = latest[before]
        begun = max(begun, number)

    def keep(number: int, output: Any) -> None:
        if number >= begun:
            latest[number] = tree_map_only(Tensor, Tensor.clone, output)

    with contextlib.ExitStack() as stack:
        for number, layer in enumerate(layers):
            for module in layer:
                before = module.register_forward_pre_hook(lambda *_, number=number: begin(number), prepend=True)
                after = module.register_forward_hook(lambda _, __, output, number=number: keep(number, output))
                stack.callback(before.remove)
                stack.callback(after.remove)
        result = network(tree_map_only(Tensor, Tensor.clone, x))
    return found, result


@contextlib.contextmanager
def passing_on(network: nn.Module, layers: Iterable[Iterable[nn.Module]]) -> Iterator[None]:
    """Within it these layers of the network pass on what they are given."""
    front = {id(module) for layer in layers for module in called(layer)}
    places = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent._modules.items()
        if id(child) in front
    ]
    for parent, name, _ in places:
        parent._modules[name] = _PassingOn()
    try:
        yield
    finally:
        for parent, name, child in places:
            parent._modules[name] = child
