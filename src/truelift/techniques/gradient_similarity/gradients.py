"""Each loss's gradients, side by side: summed over parts of a batch, averaged over processes, measured, combined."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from truelift.errors import InputError
from truelift.techniques.devices import answers_at_once, moved, widest
from truelift.techniques.exchange import Averaging, in_memory_order, is_dense, processes


class Gradients:
    """Gradients of T losses with respect to the leaves of their graphs.

    Gradients are kept as dense tensors; what autograd gave as sparse ones is written as such.

    Args:
        losses: T.
        group: The processes to average over, where torch.distributed runs; None for all.
    """

    def __init__(self, losses: int, group: dist.ProcessGroup | None) -> None:
        self._several = processes(group) > 1
        self._leaves: dict[int, Tensor] = {}
        self._reached: list[dict[int, Tensor]] = [{} for _ in range(losses)]
        self._sums: list[dict[int, Tensor]] = [{} for _ in range(losses)]
        self._sparse_dims: dict[int, int] = {}  # 0 for a leaf that has had a dense gradient too
        self._averaging = Averaging(group)

    def __getstate__(self) -> dict[str, Any]:
        """By leaf, not by its identity, which is another in a copy."""
        leaves = {id(leaf): leaf for reached in (*self._reached, self._leaves) for leaf in reached.values()}
        places = {key: number for number, key in enumerate(leaves)}
        reached, sums = (
            [{places[key]: tensor for key, tensor in found.items()} for found in of_losses]
            for of_losses in (self._reached, self._sums)
        )
        return {
            "several": self._several,
            "averaging": self._averaging,
            "all": list(leaves.values()),
            "leaves": [places[key] for key in self._leaves],
            "reached": [list(found) for found in reached],
            "sums": sums,
            "sparse_dims": {places[key]: dims for key, dims in self._sparse_dims.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        every = state["all"]
        self._several, self._averaging = state["several"], state["averaging"]
        self._leaves = {id(every[n]): every[n] for n in state["leaves"]}
        self._reached = [{id(every[n]): every[n] for n in found} for found in state["reached"]]
        self._sums = [{id(every[n]): total for n, total in found.items()} for found in state["sums"]]
        self._sparse_dims = {id(every[n]): dims for n, dims in state["sparse_dims"].items()}

    @property
    def losses(self) -> int:
        """T."""
        return len(self._sums)

    def reached(self, loss: int) -> list[Tensor]:
        """The leaves of all parts' graphs so far, in the order in which they were first reached."""
        return list(self._reached[loss].values())

    def add(self, loss: int, leaves: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """Add the gradients of one loss; None, for a leaf that it does not reach, adds nothing.

        They are changed in place later, and autograd may give two leaves one tensor, or expand a number to one.

        Raises:
            InputError: A gradient is a tensor made of others, as those of sharded parameters are.
        """
        for leaf, gradient in zip(leaves, gradients, strict=True):
            if hasattr(type(leaf), "__tensor_flatten__") or hasattr(type(gradient), "__tensor_flatten__"):
                raise InputError(f"parameters must be plain tensors, got one of type {type(leaf).__name__}.")
        sums, held = self._sums[loss], set[int]()
        for leaf, gradient in zip(leaves, gradients, strict=True):
            self._reached[loss].setdefault(id(leaf), leaf)
            if gradient is None:
                continue
            sparse_dims = gradient.sparse_dim() if gradient.layout == torch.sparse_coo else 0
            self._sparse_dims[id(leaf)] = min(sparse_dims, self._sparse_dims.get(id(leaf), sparse_dims))
            if gradient.layout != torch.strided:
                gradient = gradient.to_dense()
            gradient = gradient.resolve_conj().resolve_neg()
            if gradient.data_ptr() in held or not is_dense(gradient):
                gradient = gradient.clone(memory_format=torch.contiguous_format)
            held.add(gradient.data_ptr())
            self._leaves.setdefault(id(leaf), leaf)
            before = sums.get(id(leaf))
            sums[id(leaf)] = gradient if before is None else before.add_(gradient)

    def start_averaging(self, loss: int, weights: Sequence[Tensor]) -> None:
        """Begin to average a loss's gradients over the processes, in one collective, where there are several.

        Args:
            loss: Which.
            weights: For these, the same in all processes, in the same order.
        """
        if not self._several:
            return
        sums = self._sums[loss]
        for weight in weights:
            gradient = sums.get(id(weight))
            if gradient is None:  # reached, but autograd gave nothing; in another process it may have
                gradient = torch.zeros_like(weight, memory_format=torch.contiguous_format)
                self._leaves.setdefault(id(weight), weight)
            if gradient.stride() != weight.stride() and is_dense(weight):
                # One weight's gradients need not lie in memory alike in all processes.
                gradient = torch.empty_like(weight, dtype=gradient.dtype).copy_(gradient)
            sums[id(weight)] = gradient
        self._averaging.send([sums[id(weight)] for weight in weights])

    def wait(self) -> None:
        """Wait for the averages."""
        self._averaging.wait()

    def gram(self, shared: Sequence[Tensor], groups: Sequence[int]) -> Tensor:
        """Inner products of the losses' gradients, float64 (G, T, T), over the shared weights of each group.

        Complex gradients count as pairs of real ones. Products of a tensor are float32, or float64 where it is, and
        their sums float64. Where a sum of squares leaves float32's range, or comes near its lower end and so has few
        digits, all is done again in float64: gradients of 1e-25 are small, not zero. On a GPU float64 is taken at once.
        A device without it has float32 throughout, and gradients below 1e-19 count as zero there.
        """
        device = shared[0].device
        if not answers_at_once(device):  # which of the two is needed would have to be waited for
            return self._gram(shared, groups, widest(device))
        gram = self._gram(shared, groups, torch.float32)
        squares = gram.diagonal(dim1=1, dim2=2)
        if bool(((squares < 1e-30) | ~squares.isfinite()).any()):
            gram = self._gram(shared, groups, torch.float64)
        return gram

    def _gram(self, shared: Sequence[Tensor], groups: Sequence[int], dtype: torch.dtype) -> Tensor:
        losses, device = len(self._sums), shared[0].device
        wide = widest(device)
        gram = torch.zeros(max(groups) + 1, losses, losses, dtype=wide, device=device)
        measured = [(p, g) for p, g in zip(shared, groups, strict=True) if g >= 0]
        for s in range(losses):
            for t in range(s + 1):
                both = [
                    (self._sums[s][id(p)], self._sums[t][id(p)], g)
                    for p, g in measured
                    if id(p) in self._sums[s] and id(p) in self._sums[t]
                ]
                if both:
                    products = torch.stack([_dot(a, b, dtype).to(device) for a, b, _ in both]).to(wide)
                    gram[:, s, t].index_add_(0, moved(torch.tensor([g for *_, g in both]), device), products)
        return gram + gram.tril(-1).transpose(1, 2)

    def write(self, shared: Sequence[Tensor], groups: Sequence[int], weights: Tensor) -> None:
        """Add to `.grad`: the weighted sum for a shared weight, the plain sum for any other leaf.

        Args:
            shared: The shared weights.
            groups: Of each.
            weights: (G, T).
        """
        group_of = {id(p): g for p, g in zip(shared, groups, strict=True)}
        results: dict[int, Tensor] = {}
        for t, sums in enumerate(self._sums):
            for group in dict.fromkeys(group_of.get(i) for i in sums):
                weight = None if group is None else weights[group, t]
                ids = [i for i in sums if group_of.get(i) == group]
                new = [i for i in ids if i not in results]
                old = [i for i in ids if i in results]
                if new and weight is not None:
                    _scale([sums[i] for i in new], weight)
                if old:
                    _add([results[i] for i in old], [sums[i] for i in old], weight)
                results |= {i: sums[i] for i in new}
        for i, result in results.items():
            leaf, before, sparse_dims = self._leaves[i], self._leaves[i].grad, self._sparse_dims.get(i, 0)
            if sparse_dims and (before is None or before.is_sparse):
                result = result.to_sparse(sparse_dims)
            if before is not None and before.is_sparse and not result.is_sparse:
                before = before.to_dense()
            leaf.grad = result if before is None else before.add_(result)


def gradients_of(loss: Tensor, parameters: list[Tensor], *, keep: bool) -> tuple[Tensor, ...]:
    """The gradients, each a tensor of its own, which may be changed in place."""
    return torch.autograd.grad(loss, parameters, retain_graph=keep, allow_unused=True) if parameters else ()


def _scale(tensors: list[Tensor], weight: Tensor) -> None:
    """Times the weight, in place. Reading a number is free on a CPU and spares a pass where it is 1."""
    if weight.device.type != "cpu":
        for kind in dict.fromkeys((tensor.device, tensor.dtype) for tensor in tensors):
            alike = [tensor for tensor in tensors if (tensor.device, tensor.dtype) == kind]
            torch._foreach_mul_(alike, weight.to(alike[0].device, alike[0].real.dtype))
    elif float(weight) != 1:
        torch._foreach_mul_(tensors, float(weight))


def _add(into: list[Tensor], tensors: list[Tensor], weight: Tensor | None) -> None:
    """Plus weight times the tensors, in place; also where the weight is 0, so that what is not finite shows."""
    if weight is None:
        torch._foreach_add_(into, tensors)
    elif weight.device.type == "cpu":
        torch._foreach_add_(into, tensors, alpha=float(weight))
    else:
        _scale(tensors, weight)
        torch._foreach_add_(into, tensors)


def _dot(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """⟨a, b⟩, whatever their layout in memory: gradients of one weight come in one layout, nearly always."""
    if a.stride() != b.stride():
        b = torch.empty_like(a).copy_(b)
    a, b = in_memory_order(a), in_memory_order(b)
    dtype = torch.promote_types(a.dtype, dtype)
    return torch.dot(a.to(dtype), b.to(dtype))
