"""Work given to a device without waiting for it.

A GPU takes work faster than it does it, so that the processor runs ahead. Reading a number from the device, or copying
to it from memory that is not pinned, holds the processor up until all work before is done.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

WITHOUT_FLOAT64 = {"mps"}
"""Types of devices that have no float64."""

# Those that are copied to while the processor goes on. The meta device is one so that tests see how a copy is made.
_ASYNCHRONOUS = ("cuda", "meta")


def answers_at_once(device: torch.device) -> bool:
    """Whether reading a number waits for nothing: on the processor itself."""
    return device.type == "cpu"


def widest(device: torch.device) -> torch.dtype:
    """The real type with the most digits that the device has: float64, else float32."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64


def moved(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor on `device`, of `dtype` where it is given; from the CPU to a GPU through pinned memory, unawaited.

    On the device it is where later work of the current stream looks for it. torch keeps the pinned memory until the
    copy is made.
    """
    device = torch.device(device)
    if tensor.device.type != "cpu" or device.type not in _ASYNCHRONOUS:
        return tensor.to(device, dtype)
    tensor = tensor.to(dtype=dtype)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Late:
    """Faults that a device finds, told without waiting for it: some calls later, or when somebody asks.

    Only the first fault is kept. On CUDA its numbers are copied to pinned memory beside the work, and looked at in
    a later call, when they have arrived. Elsewhere `check` alone reads them. What a call finds as it is replayed,
    recorded as a CUDA graph, is read by a later one that is not, or by `check`. A copy of this object knows of
    none.

    Args:
        tell: From a fault's numbers to its error.

    Example:
        >>> values = torch.tensor([1.0, 2.0])
        >>> late = Late(lambda numbers: InputError(f"values must be finite, got {numbers[0]:g} that are not."))
        >>> late.add(torch.stack([(~values.isfinite()).sum()]))
        >>> late.check()
    """

    def __init__(self, tell: Callable[[Sequence[float]], Exception]) -> None:
        self._tell = tell
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {"tell": self._tell}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._tell = state["tell"]
        self._forget()

    def _forget(self) -> None:
        self._first: Tensor | None = None
        self._sent: tuple[Tensor, Callable[[], bool]] | None = None

    @torch.inference_mode(mode=False)  # what was kept in it could not be changed outside of it
    @torch.no_grad()
    def add(self, numbers: Tensor) -> None:
        """Look for a fault that is known by now, then keep these numbers where none was found before them.

        Args:
            numbers: (n,), always as many; a fault where the first is not 0.

        Raises:
            Exception: What `tell` gives, for a fault of a call before.
        """
        # What is asked of a device while its work is recorded breaks the recording.
        if self._sent is not None and not _is_recorded(numbers) and self._sent[1]():
            arrived, self._sent = self._sent[0], None
            self._raise(arrived)
        numbers = numbers.detach().to(torch.float32)
        if self._first is None or self._first.device != numbers.device:
            self._first = numbers.clone()
        else:  # in place, so that a call which was recorded as a CUDA graph goes on from what is known by then
            self._first.copy_(torch.where(self._first[0] != 0, self._first, numbers))
        if self._sent is None:
            self._sent = send(self._first)

    def check(self) -> None:
        """Wait for the device, and look.

        Raises:
            Exception: What `tell` gives, for the first fault since the last one told.
        """
        if self._first is not None:
            self._raise(self._first)

    def _raise(self, numbers: Tensor) -> None:
        found = numbers.tolist()
        if found[0] != 0:
            self._forget()
            raise self._tell(found)


def send(numbers: Tensor) -> tuple[Tensor, Callable[[], bool]] | None:
    """Begin to copy from a CUDA device to pinned memory: the copy, and whether it has arrived. Elsewhere None."""
    if numbers.device.type != "cuda" or _is_recorded(numbers):
        return None
    copy = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    copy.copy_(numbers, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(numbers.device))
    return copy, event.query


def _is_recorded(numbers: Tensor) -> bool:
    """Whether work on them is only recorded now, as a CUDA graph."""
    return numbers.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
