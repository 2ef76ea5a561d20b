"""Which parameters a loss depends on, read from its graph."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Reach:
    """What a backward pass from a loss would touch."""

    parameters: list[Tensor]
    """The leaves that need a gradient, each once, the nearest to the loss first."""
    nodes: set[object]
    """The operations on the way, leaves left out."""


def reach(loss: Tensor) -> Reach:
    """Walk the graph of `loss` from its end to its leaves."""
    parameters: dict[int, Tensor] = {}
    nodes: set[object] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            parameters.setdefault(id(leaf), leaf)
        elif node not in nodes:
            nodes.add(node)
            waiting.extend(following for following, _ in node.next_functions)
    return Reach(list(parameters.values()), nodes)
