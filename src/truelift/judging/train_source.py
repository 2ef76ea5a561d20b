"""What a training function is, so that results of an old version are told from those of a new one."""

import ast
import functools
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from truelift.errors import InputError


def source_of(train: Callable[..., Any]) -> str:
    """The function's source without comments and layout, its name where it has none; and the values bound to it.

    Bound are a partial's arguments, where of values that JSON does not have, such as a data set, the type counts; and
    the numbers, texts and truth values that a nested function takes from the one around it, or an object has as
    attributes. Their lists and dicts do not count: a function may keep account in them while it runs.

    Raises:
        InputError: It is no function, or one of several lambdas in a statement, which cannot be told apart.
    """
    if not callable(train):
        raise InputError(f"train must be a function train(seed, **settings), got {type(train).__name__}.")
    if isinstance(train, functools.partial):
        return source_of(train.func) + _values({str(i): value for i, value in enumerate(train.args)} | train.keywords)
    if inspect.ismethod(train):
        return _text(train) + _values(_unchanging(getattr(train.__self__, "__dict__", {})))
    if not inspect.isfunction(train) and not isinstance(train, type) and hasattr(train, "__dict__"):
        return _text(type(train)) + _values(_unchanging(vars(train)))
    closure = inspect.getclosurevars(train).nonlocals if inspect.isfunction(train) else {}
    return _text(train) + _values(_unchanging(closure))


def _text(train: Any) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(train)))
    except (OSError, TypeError, SyntaxError):
        return str(getattr(train, "__qualname__", type(train).__qualname__))
    if (
        getattr(train, "__name__", "") == "<lambda>"
        and sum(isinstance(node, ast.Lambda) for node in ast.walk(tree)) > 1
    ):
        raise InputError("train must have a source of its own, got one of several lambdas in a statement: use def.")
    return ast.dump(tree)


def _unchanging(bound: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in bound.items() if isinstance(value, str | bool | int | float | tuple)}


def _values(bound: Mapping[str, Any]) -> str:
    """As text; empty where nothing is bound."""
    return "".join(f"\0{name}={_value(value)}" for name, value in sorted(bound.items()))


def _value(value: Any) -> str:
    if callable(value) and not isinstance(value, type):
        return source_of(value)
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return type(value).__qualname__
