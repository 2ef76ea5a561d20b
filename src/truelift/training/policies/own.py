"""A user's own policy, by import path: any class with FreezeOut's interface.

It is called with what its parameters name of `network`, `optimizer`, `steps` and `images`, and with the args, and
gives an object with any of these:

    step()              before each forward pass
    update()            after each step of the optimizer
    ended()             after the last step, also where that was left out
    applied()           a context manager, within which the network is as it shall be evaluated
    logged()            numbers for the lines of metrics, by name
    frozen              how many layers are frozen; it is logged and stands in the result
    state_dict(), load_state_dict(state)
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from truelift.errors import InputError
from truelift.own import blamed, call
from truelift.training.policies.base import Policy, Progress

_MOMENTS = ("step", "update", "applied")


class OwnPolicy(Policy):
    """An object with FreezeOut's interface, as a policy.

    Args:
        kind: What it is, for messages: "policy".
        path: Its import path, or its name.
        policy: The object.
    """

    def __init__(self, kind: str, path: str, policy: Any) -> None:
        self.name = path
        self.kind = kind
        self.policy = policy

    def __call__(self, progress: Progress) -> None:
        """Its `step`."""
        self._ask("step")

    def stepped(self) -> None:
        """Its `update`."""
        self._ask("update")

    def ended(self) -> None:
        """Its `ended`."""
        self._ask("ended")

    def judged(self) -> contextlib.AbstractContextManager[None]:
        """Its `applied`."""
        if not hasattr(self.policy, "applied"):
            return contextlib.nullcontext()
        within: contextlib.AbstractContextManager[None] = self._ask("applied")
        return within

    def logged(self) -> dict[str, float]:
        """Its `logged`, and how many layers are frozen."""
        return {**self.result(), **dict(self._ask("logged") or {})}

    def result(self) -> dict[str, float]:
        """How many layers are frozen."""
        return {"frozen_layers": int(self.policy.frozen)} if hasattr(self.policy, "frozen") else {}

    def state_dict(self) -> dict[str, Any]:
        """Its own, where it has one."""
        return dict(self._ask("state_dict") or {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._ask("load_state_dict", state)

    def _ask(self, name: str, *arguments: Any) -> Any:
        if not hasattr(self.policy, name):
            return None
        with blamed(self.kind, self.name):
            return getattr(self.policy, name)(*arguments)


def build(
    kind: str, path: str, found: Callable[..., Any], args: Mapping[str, Any], around: Mapping[str, Any]
) -> OwnPolicy:
    """The policy that an import path names.

    Raises:
        InputError: It does not take these args, raises, or gives nothing that has a part in the training.
    """
    made = call(kind, path, found, args, **around)
    if not any(callable(getattr(made, name, None)) for name in _MOMENTS):
        raise InputError(f'{kind} "{path}" must give an object with {", ".join(_MOMENTS)}, got {type(made).__name__}.')
    return OwnPolicy(kind, path, made)
