"""Which parameters a loss depends on, read from its graph."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

_COMPILED = "CompiledFunctionBackward"
"""What torch.compile makes of a graph."""


@dataclass(frozen=True)
class Reach:
    """What a backward pass from a loss would touch."""

    leaves: list[Tensor]
    """The tensors that need a gradient and are no result, each once, the nearest to the loss first."""
    nodes: set[object]
    """The operations on the way, leaves left out."""
    compiled: dict[object, set[int]]
    """Of those that are whole compiled graphs: through which of its results each was reached, by their numbers."""


def reach(loss: Tensor) -> Reach:
    """Walk the graph of `loss` from its end to its leaves."""
    leaves: dict[int, Tensor] = {}
    nodes: set[object] = set()
    compiled: dict[object, set[int]] = {}
    waiting = [(loss.grad_fn, loss.output_nr)]
    while waiting:
        node, result = waiting.pop()
        if node is None:
            continue
        if node.name() == _COMPILED:
            compiled.setdefault(node, set()).add(result)
        # By its name: an operation of the user's may have an attribute `variable` too.
        leaf = getattr(node, "variable", None) if node.name() == "torch::autograd::AccumulateGrad" else None
        if leaf is not None:
            leaves.setdefault(id(leaf), leaf)
        elif node not in nodes:
            nodes.add(node)
            waiting.extend(node.next_functions)
    return Reach(list(leaves.values()), nodes, compiled)


def of_one_compiled_graph(reaches: Sequence[Reach]) -> bool:
    """Whether losses come from different results of one compiled graph, where each seems to reach every parameter."""
    first: dict[object, set[int]] = {}
    return any(
        first.setdefault(node, results) != results for found in reaches for node, results in found.compiled.items()
    )


def overlaps(reaches: Sequence[Reach], t: int) -> bool:
    """Whether a later loss needs a part of this one's graph again."""
    return any(not reaches[t].nodes.isdisjoint(later.nodes) for later in reaches[t + 1 :])


def weights_among(leaves: Sequence[Sequence[Tensor]], given: Sequence[Tensor]) -> set[int]:
    """The ids of the leaves that are trained: parameters, and tensors that are given as such.

    Other leaves, images that need a gradient for instance, belong to the batch. Where there is no parameter at all,
    the leaves are what is trained.
    """
    every = [leaf for of_loss in leaves for leaf in of_loss]
    known = {id(leaf) for leaf in every if isinstance(leaf, nn.Parameter)} | {id(tensor) for tensor in given}
    return known or {id(leaf) for leaf in every}
