"""A network's weights as techniques hold them beside it: by name, checked, and changed in place."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from truelift.errors import InputError, is_whole, require


def check_network(network: object) -> None:
    """Refuse what is no module.

    Raises:
        InputError: It is none.
    """
    require("network", type(network).__name__, isinstance(network, nn.Module), "a torch.nn.Module")


def check_state(state: Any, names: Iterable[str]) -> None:
    """Refuse what is no mapping with these names.

    Raises:
        InputError: It is none.
    """
    lacking = [name for name in names if not isinstance(state, Mapping) or name not in state]
    if lacking:
        got = f"one without {lacking[0]}" if isinstance(state, Mapping) else type(state).__name__
        raise InputError(f"the state must be what state_dict gave, got {got}.")


def check_weights_state(state: Any, weights: str, known: Mapping[str, Tensor]) -> None:
    """Refuse what is no state with `updates`, a count, and `weights`, tensors by name as the known ones.

    Raises:
        InputError: It is none.
    """
    check_state(state, ("updates", weights))
    updates, found = state["updates"], state[weights]
    require("updates", updates, is_whole(updates) and updates >= 0, "a whole number of at least 0")
    require(weights, type(found).__name__, isinstance(found, Mapping), "tensors by name")
    check_fit(found, known, weights, "the network's")


def check_fit(found: Mapping[str, Tensor], known: Mapping[str, Tensor], name: str, whose: str) -> None:
    """Refuse tensors of other names or shapes than those known.

    Raises:
        InputError: They are others.
    """
    for each in (*known, *found):
        shapes = [tuple(tensors[each].shape) if each in tensors else None for tensors in (known, found)]
        if shapes[0] != shapes[1]:
            wanted, got = ("nothing" if shape is None else f"the shape {shape}" for shape in shapes)
            raise InputError(f"{name} must have the tensors of {whose}: {each} must be {wanted}, got {got}.")


def changed_in_place() -> None:
    """Have autocast convert weights anew: within one region it keeps what it made of them, and would not see it."""
    torch.clear_autocast_cache()
