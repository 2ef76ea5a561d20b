"""What a training function is, so that results of an old version are told from those of a new one."""

import ast
import contextlib
import functools
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

from truelift.errors import InputError


def source_of(train: Callable[..., Any]) -> str:
    """The function's source without comments and layout, its name where it has none; and the values bound to it.

    A source that is a part of a statement, as a lambda's may be, is taken as it stands.

    Bound are a partial's arguments, where the type stands for a value that JSON does not have, such as a data set; and
    the numbers and truth values that a nested function takes from the one around it. Its texts may be paths and devices
    of the machine; and an object's attributes may change while it runs: they do not count.

    Raises:
        InputError: It is no function, or one of several lambdas in a statement, which cannot be told apart.
    """
    if not callable(train):
        raise InputError(f"train must be a function train(seed, **settings), got {type(train).__name__}.")
    if isinstance(train, functools.partial):
        return source_of(train.func) + _values({str(i): value for i, value in enumerate(train.args)} | train.keywords)
    if isinstance(train, FunctionType):
        return _text(train) + _values(dict(_taken_from_around(train)))
    return _text(train if inspect.isroutine(train) or isinstance(train, type) else type(train))


def _text(train: Any) -> str:
    try:
        source = inspect.getsource(train)
    except (OSError, TypeError):
        return str(getattr(train, "__qualname__", type(train).__qualname__))
    tree = _tree(source)
    if getattr(train, "__name__", "") == "<lambda>":
        several = re.findall(r"\blambda\b", source) if tree is None else list(_lambdas(tree))
        if len(several) > 1:
            raise InputError("train must have a source of its own, got one of several lambdas in a statement: use def.")
    return source if tree is None else ast.dump(tree)


def _tree(source: str) -> ast.AST | None:
    """None for a part of a statement, as a lambda's source may be."""
    with contextlib.suppress(SyntaxError):
        return ast.parse(textwrap.dedent(source))
    with contextlib.suppress(SyntaxError):  # a text within it begins at the margin, and keeps it from being dedented
        return ast.parse(f"if True:\n{source}")
    return None


def _lambdas(node: ast.AST) -> Iterator[ast.Lambda]:
    """Those that stand in no other one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            yield child
        else:
            yield from _lambdas(child)


def _taken_from_around(function: FunctionType) -> Iterator[tuple[str, float]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # it is bound later
            continue
        if isinstance(value, int | float):
            yield name, value


def _values(bound: Mapping[str, Any]) -> str:
    """As text; empty where nothing is bound."""
    return "".join(f"\0{name}={_value(value)}" for name, value in sorted(bound.items()))


def _value(value: Any) -> str:
    try:
        if callable(value) and not isinstance(value, type):
            return source_of(value)
        return json.dumps(value, sort_keys=True)
    except (InputError, TypeError, ValueError, RecursionError):
        return type(value).__qualname__
