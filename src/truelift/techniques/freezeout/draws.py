"""Whether something is drawn at random, whatever comes out of it."""

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Draws(TorchDispatchMode):
    """Sees whether a generator moves: Python's, numpy's, torch's on each device, and those given to operations.

    Two outputs that are alike do not say that nothing is drawn: what drops one image in twenty shows seldom.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = False
        """Whether one has moved."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        own = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, torch.Generator)]
        before = [generator.get_state() for generator in own]
        result = func(*args, **kwargs or {})
        moved = (not torch.equal(was, g.get_state()) for was, g in zip(before, own, strict=True))
        self.seen = any(moved) or self.seen
        return result

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within it, draws are seen."""
        before = _states()
        with self:
            yield
        for was, now in zip(before, _states(), strict=True):
            self.seen |= not (torch.equal(was, now) if isinstance(was, Tensor) else was == now)


def _states() -> list[Any]:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return [
        random.getstate(),
        _of_numpy(),
        torch.get_rng_state(),
        *(torch.cuda.get_rng_state(device) for device in devices),
    ]


def _of_numpy() -> Any:
    """The state of numpy's own generator, which a network of somebody's may draw from; none where nobody has numpy."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return None
    name, keys, *rest = numpy.random.get_state()
    return name, keys.tobytes(), *rest
