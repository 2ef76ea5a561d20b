"""The meta device in place of a GPU: whatever waits for it raises."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class WaitsError(Exception):
    """A GPU would be waited for."""


class _Operations(TorchDispatchMode):
    """Refuses copies to the meta device that wait, and types that the device shall be without."""

    def __init__(self, without: Sequence[torch.dtype]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._without = without

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        found = func(*args, **kwargs)
        name = func._schema.name
        if name in ("aten::_to_copy", "aten::copy_") and not kwargs.get("non_blocking") and args[-1] is not True:
            source = given[-1] if name == "aten::copy_" else given[0]
            if source.device.type == "cpu" and found.device.type == "meta":
                raise WaitsError(f"{name} from unpinned memory, of shape {tuple(source.shape)}")
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor) and leaf.device.type == "meta" and leaf.dtype in self._without:
                raise WaitsError(f"{name} gives {leaf.dtype}")
        return found


class _Made(TorchFunctionMode):
    """Refuses tensors made of Python's numbers on the meta device: on a GPU they are copied, and waited for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and found.device.type == "meta":
            raise WaitsError(f"{func.__name__} on the device")
        return found


@contextmanager
def nothing_waits(without: Sequence[torch.dtype] = ()) -> Iterator[None]:
    """Within it whatever would wait for a GPU raises; so does a tensor there of these types."""
    with _Operations(without), _Made():
        yield
