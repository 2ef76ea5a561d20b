"""torch's optimizers without torch's compiler, whose front end takes most of a second to be imported.

torch marks some methods of every optimizer for the compiler to leave alone, and imports the compiler to do so, whether
anything is compiled or not. Here these methods are called as they stand below the marks: the same code, the same
numbers. No optimizer of a training is ever called from compiled code, where alone the marks would count.
"""

import inspect
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=Optimizer)


class _Unmarked(Optimizer):
    """The methods that torch marks; where a version of torch does not, they are the same as there."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)


def without_compiler(kind: type[Kind]) -> type[Kind]:
    """An optimizer's class of the same name, whose objects do the same and import no compiler.

    Args:
        kind: The class. Its steps are made without gradients of their own (torch's `differentiable` is false).
    """
    return cast("type[Kind]", _made(kind))  # type: ignore[arg-type]


@cache
def _made(kind: Any) -> Any:
    step = inspect.unwrap(kind.step)

    @torch.no_grad()
    def unmarked(self: Optimizer, closure: Any = None) -> Any:
        return step(self, closure)

    def reduced(self: Optimizer, protocol: Any) -> Any:
        """For copies and pickles, which find a class by its name alone."""
        if type(self) is not made:
            return object.__reduce_ex__(self, protocol)
        return _empty, (kind,), self.__getstate__()

    own = {"step": unmarked, "__reduce_ex__": reduced, "__doc__": kind.__doc__}
    # Behind `kind` in the order of resolution, so that what `kind` has of its own comes first.
    made = type(kind.__name__, (kind, _Unmarked), own)
    return made


def _empty(kind: type[Optimizer]) -> Optimizer:
    """An optimizer that is given its state next."""
    made = without_compiler(kind)
    return made.__new__(made)
