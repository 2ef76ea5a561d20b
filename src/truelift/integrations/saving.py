"""States that are saved and loaded with an optimizer's own, by whatever saves and loads that."""

from typing import Any, Protocol

from torch.optim import Optimizer

from truelift.errors import InputError, require
from truelift.techniques.freezeout.front import unwrapped

_KEY = "truelift"


class Stateful(Protocol):
    """What can be saved: FreezeOut, gradient similarity, a loss whose margin grows."""

    def state_dict(self) -> Any:
        """The state, in tensors and plain values."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Take up what `state_dict` gave."""
        ...


def save_with(optimizer: Optimizer, **parts: Stateful) -> Optimizer:
    """Have the optimizer's state dict hold those of other parts from now on.

    `optimizer.load_state_dict` loads the parts first. That is the order in which frozen layers need it: the optimizer's
    own state has nothing for frozen parameters. So a trainer that knows of the optimizer alone resumes exactly.

    Args:
        optimizer: Any of torch's kind, or such a one in a wrapper of Accelerate or Lightning.
        parts: What is saved with it, by name.

    Returns:
        The optimizer as given.

    Raises:
        InputError: No part is given, or one is there under that name already. Later, by the optimizer's
            `load_state_dict`: the state holds none for a part, or a part refuses its own; nothing is loaded then.

    Example:
        >>> saved = save_with(optimizer, freezing=freezeout)
    """
    require("parts", "none", bool(parts), "at least one, by name")
    inner = unwrapped(optimizer)
    there: dict[str, Stateful] = inner.__dict__.setdefault("_truelift_parts", {})
    for name in parts:
        require("the part's name", name, name not in there, "one that is not there already")
    there.update(parts)
    if len(there) == len(parts):  # the first call for this optimizer
        inner.register_state_dict_post_hook(_save)
        inner.register_load_state_dict_pre_hook(_load)
    return optimizer


def _save(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    parts: dict[str, Stateful] = optimizer.__dict__["_truelift_parts"]
    return {**state, _KEY: {name: part.state_dict() for name, part in parts.items()}}


def _load(optimizer: Optimizer, state: dict[str, Any]) -> None:
    parts: dict[str, Stateful] = optimizer.__dict__["_truelift_parts"]
    found = state.get(_KEY, {})
    for name in parts:
        if name not in found:
            raise InputError(f"the optimizer's state must hold that of {name}, got one without: was it saved before?")
    for name, part in parts.items():
        part.load_state_dict(found[name])
