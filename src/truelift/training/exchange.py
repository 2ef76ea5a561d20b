"""What processes that share a batch have to agree on, averaged; gradients while the backward pass still goes on."""

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Gradients are sent as soon as so many bytes of them are there: enough to be worth an exchange of their own, and soon
# enough that most of it is over when the backward pass is.
BUCKET_BYTES = 8 * 2**20


class Exchange:
    """Replaces tensors by their means over the processes.

    A parameter's gradient is sent once it is whole, together with those that were whole before it; what has no such
    moment (losses, running statistics, gradients that a rule has written) is sent by `finish`. The processes must do
    the same in the same order, as one program with one network does.

    Args:
        parameters: Those whose gradients are to be averaged.
        bucket_bytes: Send as soon as gradients of so many bytes are whole.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], bucket_bytes: int = BUCKET_BYTES) -> None:
        self._bucket_bytes = bucket_bytes
        self._waiting: list[Tensor] = []
        self._waiting_bytes = 0
        self._sent: list[tuple[dist.Work | None, Tensor, list[Tensor]]] = []
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._add)  # type: ignore[no-untyped-call]

    def finish(self, tensors: Sequence[Tensor]) -> None:
        """Have all gradients, and these tensors of real numbers, be the means when it returns.

        Args:
            tensors: They may contain gradients that are on their way already.
        """
        known = {id(tensor) for _, _, sent in self._sent for tensor in sent} | set(map(id, self._waiting))
        self._waiting += [tensor for tensor in tensors if id(tensor) not in known]
        self._send()
        for work, flat, sent in self._sent:
            if work is not None:
                work.wait()
            flat /= dist.get_world_size()
            begin = 0
            for tensor in sent:
                _in_memory_order(tensor).copy_(flat[begin : begin + tensor.numel()])
                begin += tensor.numel()
        self._sent = []

    def _add(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self._waiting.append(parameter.grad)
        self._waiting_bytes += parameter.grad.nbytes
        if self._waiting_bytes >= self._bucket_bytes:
            self._send()

    def _send(self) -> None:
        flat = torch.cat([_in_memory_order(tensor) for tensor in self._waiting])
        self._sent.append((dist.all_reduce(flat, async_op=True), flat, self._waiting))
        self._waiting, self._waiting_bytes = [], 0


def _in_memory_order(tensor: Tensor) -> Tensor:
    """All elements, as a view."""
    dense = tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
    assert dense, "autograd gives a parameter's gradient the parameter's own layout"
    return tensor.as_strided((tensor.numel(),), (1,))
