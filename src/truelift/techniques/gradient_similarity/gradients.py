"""Each loss's gradients, side by side: summed over parts of a batch, averaged over processes, measured, combined."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


class Gradients:
    """Gradients of T losses with respect to their parameters.

    Args:
        shared: The parameters that the losses share; for them there are weights.
        losses: T.
        group: The processes to average over, where torch.distributed runs; None for all.
    """

    def __init__(self, shared: list[Tensor], losses: int, group: dist.ProcessGroup | None) -> None:
        self.shared = shared
        self._group = group
        self._parameters: dict[int, Tensor] = {}
        self._sums: list[dict[int, Tensor]] = [{} for _ in range(losses)]
        self._averaging: list[tuple[dist.Work, Tensor, list[Tensor]]] = []

    def add(self, loss: int, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """Add the gradients of one loss; None, for a parameter that it does not reach, adds nothing.

        They are changed in place later, and autograd may give two parameters one tensor, or expand a number to one.
        """
        sums, held = self._sums[loss], set[int]()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:
                continue
            if gradient.data_ptr() in held or not _dense(gradient):
                gradient = gradient.clone(memory_format=torch.contiguous_format)
            held.add(gradient.data_ptr())
            self._parameters.setdefault(id(parameter), parameter)
            before = sums.get(id(parameter))
            sums[id(parameter)] = gradient if before is None else before.add_(gradient)

    def start_averaging(self, loss: int) -> None:
        """Begin to average a loss's gradients over the processes, in one collective, where there are several.

        All processes must have the same parameters in the same order, as one program with one network has.
        """
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size(self._group) == 1:
            return
        gradients = list(self._sums[loss].values())
        if gradients:
            flat = torch.cat([_flat(gradient) for gradient in gradients])
            work = dist.all_reduce(flat, group=self._group, async_op=True)
            assert work is not None, "asked to be asynchronous"
            self._averaging.append((work, flat, gradients))

    def wait(self) -> None:
        """Wait for the averages."""
        for work, flat, gradients in self._averaging:
            work.wait()
            flat /= dist.get_world_size(self._group)
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                _flat(gradient).copy_(part)
        self._averaging = []

    def gram(self, groups: Sequence[int]) -> Tensor:
        """Inner products of the losses' shared gradients, float64 (G, T, T), from the group of each shared parameter.

        Products of a tensor are float32, or float64 where it is, and their sums float64. Where a sum of squares leaves
        float32's range, or comes near its lower end and so has few digits, all is done again in float64: gradients of
        1e-25 are small, not zero.
        """
        gram = self._gram(groups, torch.float32)
        squares = gram.diagonal(dim1=1, dim2=2)
        if bool(((squares < 1e-30) | ~squares.isfinite()).any()):
            gram = self._gram(groups, torch.float64)
        return gram

    def _gram(self, groups: Sequence[int], dtype: torch.dtype) -> Tensor:
        losses, device = len(self._sums), self.shared[0].device
        gram = torch.zeros(max(groups) + 1, losses, losses, dtype=torch.float64, device=device)
        measured = [(p, g) for p, g in zip(self.shared, groups, strict=True) if g >= 0]
        for s in range(losses):
            for t in range(s + 1):
                both = [
                    (self._sums[s][id(p)], self._sums[t][id(p)], g)
                    for p, g in measured
                    if id(p) in self._sums[s] and id(p) in self._sums[t]
                ]
                if both:
                    products = torch.stack([_dot(a, b, dtype) for a, b, _ in both]).double()
                    gram[:, s, t].index_add_(0, torch.tensor([g for *_, g in both], device=device), products)
        return gram + gram.tril(-1).transpose(1, 2)

    def write(self, groups: Sequence[int], weights: Tensor) -> None:
        """Add to `.grad`: the weighted sum for a shared parameter, the plain sum for a private one.

        Args:
            groups: Of each shared parameter.
            weights: (G, T).
        """
        group_of = {id(p): g for p, g in zip(self.shared, groups, strict=True)}
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
            parameter = self._parameters[i]
            parameter.grad = result if parameter.grad is None else parameter.grad.add_(result)


def _scale(tensors: list[Tensor], weight: Tensor) -> None:
    """Times the weight, in place. Reading a number is free on a CPU and spares a pass where it is 1."""
    if weight.device.type != "cpu":
        torch._foreach_mul_(tensors, weight.to(tensors[0].dtype))
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
    dtype = torch.promote_types(a.dtype, dtype)
    return torch.dot(_flat(a).to(dtype), _flat(b).to(dtype))


def _dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def _flat(tensor: Tensor) -> Tensor:
    """All elements of a dense tensor in the order of memory, as a view."""
    return tensor.as_strided((tensor.numel(),), (1,))
