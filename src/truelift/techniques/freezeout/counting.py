"""Operations counted as torch's FlopCounterMode counts them, without torch's compiler.

Torch has its compiler leave its counter alone, and imports it to do so, which takes most of a second.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

_aten = torch.ops.aten
_COUNTED = (_aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm, _aten.convolution, _aten.convolution_backward)
"""Matrix products and convolutions, which are the same operators on every device."""


class UncountedError(Exception):
    """An operator that is another one on other devices, or takes functions, or more operations than are to be made.

    `FlopCounterMode` is to count them, without data.
    """


class OperationCounter(TorchDispatchMode):
    """A context manager; within it operations are counted, two for a multiplication and addition.

    Args:
        most: To be made at most.

    Attributes:
        operations: Counted so far.

    Raises:
        UncountedError: There is an operator that it cannot count, or there were more operations.
    """

    supports_higher_order_operators = True  # so that they come here, to be refused

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._most = most
        self.operations: int = 0
        self._formulas = FlopCounterMode(display=False).flop_registry

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch's word for leaving the compiler out of it

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, and count it."""
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", None)
        if packet is None or (packet in self._formulas and packet not in _COUNTED):
            raise UncountedError
        out = func(*args, **kwargs)
        if packet in _COUNTED:
            self.operations += self._formulas[packet](*args, **kwargs, out_val=out)
            if self.operations > self._most:
                raise UncountedError
        return out
