"""What an adaptive rule asks of the signal by which it tells layers that have settled."""

from typing import Any, Protocol

from torch import Tensor


class Signal(Protocol):
    """Told of each step and asked at the end of each interval."""

    def add(self, frozen: int, overflowed: Tensor | None = None) -> None:
        """The optimizer is about to step.

        Args:
            frozen: So many layers are frozen; the others' gradients are as the optimizer will use them.
            overflowed: Above 0, on a device, where a gradient overflowed float16 and the optimizer will change nothing.
        """
        ...

    def quiet(self, frozen: int) -> list[bool]:
        """For each layer from the first in training to the last but one: has it hardly moved in this interval?"""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, in tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        ...
