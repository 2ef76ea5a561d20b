"""A user's own policy, by import path: any class with FreezeOut's interface.

It is called with what its parameters name of `network`, `optimizer`, `steps` and `images`, and with the args, and
gives an object with any of these:

    step()              before each forward pass
    update()            after each step of the optimizer
    ended()             after the last step, also where that was left out
    applied()           a context manager, within which the network is as it shall be evaluated
    logged()            finite numbers for the lines of metrics, by names of its own
    frozen              how many layers are frozen; it is logged and stands in the result
    state_dict(), load_state_dict(state)
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from truelift.errors import InputError
from truelift.own import blamed, call
from truelift.training.logged import check_names, number
from truelift.training.policies.base import Policy, Progress

_MOMENTS = ("step", "update", "applied")
# Where no method is hidden by it, an attribute of such a name is a counter or a flag of the policy's own.
_COUNTS = ("step", "update", "ended")
_METHODS = (*_COUNTS, "applied", "logged", "state_dict", "load_state_dict")


class OwnPolicy(Policy):
    """An object with FreezeOut's interface, as a policy.

    Args:
        kind: What it is, for messages: "policy".
        path: Its import path, or its name.
        policy: The object.
    """

    def __init__(self, kind: str, path: str, policy: Any) -> None:
        self.name = path
        self.whose = f'{kind} "{path}"'
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

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Its `applied`."""
        stack = contextlib.ExitStack()
        with blamed(self.kind, self.name):
            if callable(getattr(self.policy, "applied", None)):
                stack.enter_context(self.policy.applied())
        try:
            yield
        except BaseException:  # which is not the policy's
            if not stack.__exit__(*sys.exc_info()):
                raise
        else:
            with blamed(self.kind, self.name):
                stack.close()

    def logged(self) -> dict[str, float]:
        """Its `logged`, and how many layers are frozen.

        Raises:
            InputError: It raises, or logs what is no number, or under a name that is not its own.
        """
        logged = self._ask("logged") or {}
        check_names(self.kind, self.name, logged)
        return self.result() | {name: number(self.kind, self.name, name, value) for name, value in logged.items()}

    def result(self) -> dict[str, float]:
        """How many layers are frozen.

        Raises:
            InputError: It raises, or that is no number.
        """
        with blamed(self.kind, self.name):
            if not hasattr(self.policy, "frozen"):
                return {}
            frozen = self.policy.frozen
        return {"frozen_layers": int(number(self.kind, self.name, "frozen", frozen))}

    def state_dict(self) -> dict[str, Any]:
        """Its own, where it has one."""
        with blamed(self.kind, self.name):
            return dict(self._ask("state_dict") or {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._ask("load_state_dict", state)

    def _ask(self, name: str, *arguments: Any) -> Any:
        with blamed(self.kind, self.name):
            method = getattr(self.policy, name, None)
            return method(*arguments) if callable(method) else None


def build(
    kind: str, path: str, found: Callable[..., Any], args: Mapping[str, Any], around: Mapping[str, Any]
) -> OwnPolicy:
    """The policy that an import path names.

    Raises:
        InputError: It does not take these args, raises, or gives nothing that has a part in the training, or something
            else in a method's place.
    """
    made = call(kind, path, found, args, **around)
    for name in _METHODS:
        with blamed(kind, path):
            there = getattr(made, name, None)
        hides = callable(getattr(type(made), name, None))
        if there is not None and not callable(there) and (hides or name not in _COUNTS):
            raise InputError(f'{kind} "{path}" must have {name} as a method, got {type(there).__name__}.')
    if not any(callable(getattr(made, name, None)) for name in _MOMENTS):
        raise InputError(f'{kind} "{path}" must give an object with {", ".join(_MOMENTS)}, got {type(made).__name__}.')
    return OwnPolicy(kind, path, made)
