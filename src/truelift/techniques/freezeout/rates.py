"""An optimizer's groups divided by layers for the time of one step, each with its own learning rate. L layers."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from truelift.errors import InputError

_BY_LAYER = "by_layer"
"""A group's entry with what an optimizer has written into a step's groups differently from layer to layer."""

_OURS = ("params", "param_names", "lr", "layer", _BY_LAYER)
_UNCHANGING = (int, float, bool, str, type(None))


def check_rates(optimizer: Optimizer) -> None:
    """Refuse groups without a learning rate that can be multiplied.

    Raises:
        InputError: There is one.
    """
    for number, group in enumerate(optimizer.param_groups):
        try:
            (group["lr"] * 1.0).__float__()
        except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
            given = repr(group["lr"]) if "lr" in group else "none"
            raise InputError(
                f"optimizer must have a number as learning rate in each group, got {given} in group {number}."
            ) from error


@contextlib.contextmanager
def rates_by_layer(optimizer: Optimizer, layer_of: dict[int, int], factors: Sequence[float]) -> Iterator[None]:
    """Within it each of the optimizer's groups is one for each layer, with the learning rate times the layer's factor.

    Before and after it the groups are the user's, whatever is raised. So schedulers count and see those, and groups may
    be added at any time. What the optimizer itself writes into a group, say a count of steps, is taken over.

    Args:
        optimizer: Any with a learning rate in each group.
        layer_of: The layer of each parameter, by its identity; the others keep their rate.
        factors: One for each layer.
    """
    groups = optimizer.param_groups
    whole = list(groups)
    divided = [_divided(group, layer_of, factors) for group in whole]
    parts = [part for several in divided for part in several]
    groups[:] = parts
    try:
        yield
        for group, several in zip(whole, divided, strict=True):
            _take_over(group, several)
    finally:
        ours = {id(part) for part in parts}
        groups[:] = [*whole, *(group for group in groups if id(group) not in ours)]


def _divided(group: dict[str, Any], layer_of: dict[int, int], factors: Sequence[float]) -> list[dict[str, Any]]:
    members: dict[int | None, list[int]] = {}
    for number, parameter in enumerate(group["params"]):
        members.setdefault(layer_of.get(id(parameter)), []).append(number)
    parts = []
    for layer in sorted(members or {None: []}, key=lambda n: -1 if n is None else n):
        numbers = members.get(layer, [])
        part = {key: _own(value) for key, value in group.items() if key not in _OURS}
        part |= copy.deepcopy(group.get(_BY_LAYER, {}).get(layer, {}))
        part |= {"params": [group["params"][n] for n in numbers], "layer": layer}
        if "param_names" in group:
            part["param_names"] = [group["param_names"][n] for n in numbers]
        part["lr"] = group["lr"] if layer is None else group["lr"] * factors[layer]
        parts.append(part)
    return parts


def _take_over(group: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    """Write back what the optimizer has changed: for the whole group where all parts agree, else for each layer."""
    for key in dict.fromkeys(key for part in parts for key in part if key not in _OURS):
        values = [part.get(key) for part in parts]
        if all(value is group.get(key) for value in values):
            continue
        apart = group.get(_BY_LAYER, {})
        if all(_same(value, values[0]) for value in values):
            if key not in group or not _same(values[0], group[key]):
                group[key] = values[0]
            for several in apart.values():
                several.pop(key, None)
        else:
            for part, value in zip(parts, values, strict=True):
                group.setdefault(_BY_LAYER, {}).setdefault(part["layer"], {})[key] = value


def _own(value: Any) -> Any:
    """A value that no other group can change."""
    return value if isinstance(value, _UNCHANGING) else copy.deepcopy(value)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)
