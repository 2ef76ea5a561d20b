"""Tensors replaced by their means over processes, while the backward pass still goes on."""

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Gradients are sent as soon as so many bytes of them are there: enough to be worth an exchange of their own, and soon
# enough that most of it is over when the backward pass is.
BUCKET_BYTES = 8 * 2**20


class Averaging:
    """Means over the processes, on their way.

    All processes must send tensors of the same sizes and layouts in the same order, as one program with one network
    does; `agree` tells whether they do.

    Args:
        group: The processes; None for all.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self._group = group
        self._sent: list[tuple[dist.Work | None, Tensor, list[Tensor]]] = []

    def send(self, tensors: Sequence[Tensor]) -> None:
        """Begin to average these, strided tensors of real or complex numbers, in one collective."""
        if tensors:
            flat = torch.cat([_row(tensor) for tensor in tensors])
            self._sent.append((dist.all_reduce(flat, group=self._group, async_op=True), flat, list(tensors)))

    def sent(self) -> list[Tensor]:
        """What is on its way."""
        return [tensor for _, _, tensors in self._sent for tensor in tensors]

    def wait(self) -> None:
        """Have everything that was sent be the means when it returns."""
        for work, flat, tensors in self._sent:
            if work is not None:
                work.wait()
            flat /= dist.get_world_size(self._group)
            means = torch.split(flat, [_row(tensor).numel() for tensor in tensors])
            for tensor, mean in zip(tensors, means, strict=True):
                _write(tensor, mean)
        self._sent = []


class Exchange:
    """Replaces tensors by their means over the processes.

    A parameter's gradient is sent once it is whole, together with those that were whole before it; what has no such
    moment (losses, running statistics, gradients that a rule has written) is sent by `finish`. The processes must do
    the same in the same order, as one program with one network does.

    Args:
        parameters: Those whose gradients are to be averaged.
        bucket_bytes: Send as soon as the finished gradients have this many bytes.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], bucket_bytes: int = BUCKET_BYTES) -> None:
        self._bucket_bytes = bucket_bytes
        self._waiting: list[Tensor] = []
        self._waiting_bytes = 0
        self._averaging = Averaging()
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._add)

    def finish(self, tensors: Sequence[Tensor]) -> None:
        """Have all gradients, and these tensors of real numbers, be the means when it returns.

        Args:
            tensors: They may contain gradients that are on their way already.
        """
        known = {id(tensor) for tensor in [*self._averaging.sent(), *self._waiting]}
        self._waiting += [tensor for tensor in tensors if id(tensor) not in known]
        self._send()
        self._averaging.wait()

    def _add(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self._waiting.append(parameter.grad)
        self._waiting_bytes += parameter.grad.nbytes
        if self._waiting_bytes >= self._bucket_bytes:
            self._send()

    def _send(self) -> None:
        self._averaging.send(self._waiting)
        self._waiting, self._waiting_bytes = [], 0


def processes(group: dist.ProcessGroup | None = None) -> int:
    """How many there are; 1 where torch.distributed does not run."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def agree(number: int, device: torch.device, group: dist.ProcessGroup | None = None) -> bool:
    """Whether all processes have this number, of less than 63 bits; each is told the same. Waits for all of them."""
    largest = torch.tensor([number, -number], device=device)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX, group=group)
    most, minus_least = largest.tolist()
    return bool(most == -minus_least)


def is_dense(tensor: Tensor) -> bool:
    """Whether its elements lie in memory without gaps, row by row or channels last."""
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def in_memory_order(tensor: Tensor) -> Tensor:
    """All elements of a dense tensor, as a view; a complex number as two."""
    assert is_dense(tensor), "without gaps"
    flat = tensor.as_strided((tensor.numel(),), (1,))
    return torch.view_as_real(flat).flatten() if tensor.is_complex() else flat


def _row(tensor: Tensor) -> Tensor:
    """All numbers of a tensor in a row: a view of a dense one, else a copy, row by row."""
    if is_dense(tensor):
        return in_memory_order(tensor)
    row = _without_repetitions(tensor).flatten()
    return torch.view_as_real(row).flatten() if row.is_complex() else row


def _write(tensor: Tensor, row: Tensor) -> None:
    """Have a tensor be what `_row` would give."""
    if is_dense(tensor):
        in_memory_order(tensor).copy_(row)
        return
    there = _without_repetitions(tensor)
    there = torch.view_as_real(there) if tensor.is_complex() else there
    there.copy_(row.view(there.shape))


def _without_repetitions(tensor: Tensor) -> Tensor:
    """Of a tensor that was expanded what it was before: the numbers that can be written."""
    for dimension, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dimension] > 1:
            tensor = tensor.narrow(dimension, 0, 1)
    return tensor
