"""Look at a network and leave no trace in it."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def restoring(network: nn.Module) -> Iterator[None]:
    """What happens within it to the network's modes, attributes and tensors, and to the generators, is undone."""
    attributes = [(module, vars(module).copy(), _containers(module)) for module in network.modules()]
    tensors = [*network.parameters(), *network.buffers()]
    before = [(tensor, tensor._version, tensor.detach().clone()) for tensor in tensors]
    devices = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    drawn = random.getstate()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(drawn)
        for module, own, containers in attributes:
            vars(module).clear()
            vars(module).update(own)
            for container, was in containers:
                container.clear()
                (container.extend if isinstance(container, list) else container.update)(was)
        with torch.no_grad():
            for tensor, version, data in before:
                # A write by way of `.data` leaves the version; on the meta device there is nothing to compare.
                if tensor._version != version or not (tensor.is_meta or torch.equal(tensor, data)):
                    tensor.copy_(data)


def _containers(module: nn.Module) -> list[tuple[Any, Any]]:
    """A module's own dictionaries, lists and sets, which a forward pass may fill; they are restored in their place."""
    return [(value, value.copy()) for value in vars(module).values() if isinstance(value, dict | list | set)]
