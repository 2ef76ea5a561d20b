"""A user's own gradient rule, by import path.

A class, or a function that gives an object, with `backward`, which takes what it names of `losses` (scalars by name,
the main one first) and `again` (a function that makes the forward pass once more and gives such losses). It leaves a
gradient in each parameter's `.grad`. It may return scalars to log, by name, and have `state_dict` and
`load_state_dict`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from truelift.errors import InputError
from truelift.own import blamed, call, parameters
from truelift.training.gradient_rules.base import Again
from truelift.training.logged import check_names, scalar

_KIND = "gradient rule"


class OwnRule:
    """A user's own rule, held to the protocol."""

    def __init__(self, path: str, rule: Any) -> None:
        self.path = path
        self.rule = rule
        self._takes = parameters(rule.backward)[0]

    def backward(self, losses: Mapping[str, Tensor], again: Again) -> dict[str, Tensor]:
        """What the rule does; what it returns is logged.

        Raises:
            InputError: It raises, or logs what is no number, or under a name that is not its own.
        """
        there = {"losses": dict(losses), "again": lambda: again().losses}
        with blamed(_KIND, self.path):
            found = self.rule.backward(**{name: value for name, value in there.items() if name in self._takes})
            logged = found.logged() if hasattr(found, "logged") else {} if found is None else found
        main, *others = losses
        check_names(_KIND, self.path, logged, {f"train_{name}_loss" for name in others})
        device = losses[main].device
        return {name: scalar(_KIND, self.path, name, value, device) for name, value in logged.items()}

    def state_dict(self) -> dict[str, Any]:
        """The rule's own, where it has one."""
        with blamed(_KIND, self.path):
            return dict(self.rule.state_dict()) if hasattr(self.rule, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        with blamed(_KIND, self.path):
            if hasattr(self.rule, "load_state_dict"):
                self.rule.load_state_dict(state)


def build(path: str, found: Callable[..., Any], args: Mapping[str, Any], network: nn.Module) -> OwnRule:
    """The rule that an import path names.

    Raises:
        InputError: It does not take these args, raises, or gives nothing with `backward`.
    """
    made = call(_KIND, path, found, args, network=network)
    if not callable(getattr(made, "backward", None)):
        raise InputError(f'{_KIND} "{path}" must give an object with backward(losses), got {type(made).__name__}.')
    return OwnRule(path, made)
