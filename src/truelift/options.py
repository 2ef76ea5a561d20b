"""What is declared with an option: its range, whether it changes a run's result, the names that may be chosen.

An option is a field of a frozen dataclass, and everything about it is in its annotation:

    lr: Annotated[float, NONNEGATIVE] = 0.1
    workers: Annotated[int | None, at_least(0, 1024), OPERATIONAL] = None

`check` checks every field against its range, and then the rules between the fields of a group. Options are listed
nowhere else.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from truelift.errors import require, unknown_name
from truelift.own import is_import_path, load

T = TypeVar("T")


@dataclass(frozen=True)
class In:
    """The range of an option. None, for an option left out, is in every range; each item of a tuple must be in it."""

    text: str
    """Completes "NAME must be …": "at least 0 and finite"."""
    holds: Callable[[Any], bool]
    text_above: str | None = None
    """The same for a value above `most`; None: as `text`."""
    most: float = math.inf
    """The largest value."""

    def told(self, value: Any) -> str:
        """What a value outside the range must be."""
        return self.text_above if self.text_above is not None and value > self.most else self.text


class OneOf:
    """Marks an option whose value is a name in a registry, or an import path.

    Args:
        registry: Where the name is looked up. What an import path names is imported by the check.
    """

    def __init__(self, registry: "Registry[Any]") -> None:
        self.registry = registry


class Only:
    """Marks an option that has an effect only if another one of its group is, or contains, one of some names.

    Of several such marks one must hold. A part that is chosen by an import path may use any option; an
    optimizer refuses what it is not given.

    Args:
        option: The other option.
        names: The names; "true" or "false" of one that is so. None are given: the other option need only be given.
        above: In place of names: what the other option must be more than.
    """

    def __init__(self, option: str, *names: str, above: float | None = None) -> None:
        self.option = option
        self.names = names
        self.above = above

    def holds(self, options: Any) -> bool:
        """Whether it is so in a group of options."""
        value = getattr(options, self.option)
        chosen = value if isinstance(value, tuple) else (value,)
        if self.above is not None:
            return value is not None and bool(value > self.above)
        if not self.names:
            return value not in (None, ())
        return any(_told(name) in self.names or is_import_path(str(name)) for name in chosen)

    def told(self, prefix: str) -> str:
        """Completes "it has an effect only with …"."""
        rest = _either(self.names) if self.above is None else f"above {self.above:g}"
        return f"{prefix}{self.option} {rest}".rstrip()


@dataclass(frozen=True)
class Operational:
    """Marks an option that does not change a run's result: where the data is, how many processes decode."""


OPERATIONAL = Operational()


@dataclass(frozen=True)
class Place:
    """Marks an option that is a path whose last part alone tells what is there: a run is the same wherever it lies."""


PLACE = Place()


_LARGEST = 10**9
"""Above any sensible factor, and far below what would overflow in a training."""


def at_least(low: float, most: float = _LARGEST) -> In:
    """From `low`, included, to `most`, included; never infinite or not a number."""
    return _bounded(f"at least {low:g}", lambda value: low <= value, most)


def above(low: float, most: float = _LARGEST) -> In:
    """From `low`, not included, to `most`, included; never infinite or not a number."""
    return _bounded(f"above {low:g}", lambda value: low < value, most)


def _bounded(text: str, above_low: Callable[[Any], bool], most: float) -> In:
    # `most` keeps memory and time within reason; the message for a value that is too small does not mention it.
    return In(text, lambda value: above_low(value) and value <= most, f"at most {most:.15g}", most)


NONNEGATIVE = at_least(0)
"""Of a factor or a weight."""
POSITIVE = above(0)
SHARE = In("in [0, 1]", lambda value: 0 <= value <= 1)
SHARE_BELOW_ONE = In("in [0, 1)", lambda value: 0 <= value < 1)
SHARE_ABOVE_ZERO = In("in (0, 1]", lambda value: 0 < value <= 1)

Conflict = tuple[str, bool, str]
"""A rule between the options of a group: the option it is told of, whether it holds, what the option must be."""


def check(options: Any, prefix: str = "") -> None:
    """Check every option of a dataclass, and of those nested in it, against its range, then the rules of the group.

    A group with rules between its options has a method `conflicts() -> Iterable[Conflict]`.

    Raises:
        InputError: An option is out of range, or at odds with another; the message has its dotted name.
    """
    kind: Any = type(options)
    for name, ranges in _ranges(kind).items():
        value = getattr(options, name)
        for item in value if isinstance(value, tuple) else (value,):
            for range_ in ranges:
                if item is not None and not range_.holds(item):
                    require(f"{prefix}{name}", _told(value), False, range_.told(item))
    for name, registry in _registries(kind).items():
        value = getattr(options, name)
        for item in value if isinstance(value, tuple) else (value,):
            registry.find(item)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            check(value, f"{prefix}{field.name}.")
    if hasattr(options, "conflicts"):
        refuse(options, options.conflicts(), prefix)


def refuse(options: Any, conflicts: Iterable[Conflict], prefix: str = "") -> None:
    """Refuse the first of the rules that does not hold.

    Raises:
        InputError: One does not hold; the first is told.
    """
    for name, holds, rule in conflicts:
        value = options
        for part in name.split("."):
            value = getattr(value, part)
        require(f"{prefix}{name}", _told(value), holds, rule)


def without_effect(options: Any, prefix: str = "") -> dict[str, str]:
    """The options that differ from their defaults but have no effect, since what they belong to is not chosen.

    Returns:
        By dotted name, what they need to have one: "augmentation.names mixup".
    """
    found: dict[str, str] = {}
    kind: Any = type(options)
    for field in dataclasses.fields(options):
        value, hint = getattr(options, field.name), hints(kind)[field.name]
        if dataclasses.is_dataclass(value):
            found |= without_effect(value, f"{prefix}{field.name}.")
        only = [extra for extra in _extras(hint) if isinstance(extra, Only)]
        if only and value != field.default and not any(one.holds(options) for one in only):
            found[f"{prefix}{field.name}"] = _either([one.told(prefix) for one in only])
    return found


def without_effect_told(name: str, only: str) -> str:
    """The sentence about one of `without_effect`."""
    return f"{name} changes nothing here: it has an effect only with {only}."


def _either(names: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def operational(options: type) -> frozenset[str]:
    """The dotted names of all options that do not change what comes out of a run."""
    return _marked(options, Operational)


def places(options: type) -> frozenset[str]:
    """The dotted names of all options of which only the last part of a path changes what comes out of a run."""
    return _marked(options, Place)


def _marked(options: type, mark: type) -> frozenset[str]:
    found = set()
    for name, hint in hints(options).items():
        if any(isinstance(extra, mark) for extra in _extras(hint)):
            found.add(name)
        elif dataclasses.is_dataclass(group := bare(hint)) and isinstance(group, type):
            found |= {f"{name}.{inner}" for inner in _marked(group, mark)}
    return frozenset(found)


@cache
def hints(options: Any) -> Mapping[str, Any]:
    """The type of each field of a dataclass, with its `Annotated` metadata."""
    known = get_type_hints(options, include_extras=True)
    return {field.name: known[field.name] for field in dataclasses.fields(options)}


def without_shared_fields(options: type[T]) -> type[T]:
    """A dataclass made of several others, none of which declares a field that another one has.

    Python would let the one silently replace the other.
    """
    owners: dict[str, type] = {}
    for base in options.__mro__:
        for name in vars(base).get("__annotations__", {}):
            assert owners.setdefault(name, base) is base, f"{owners[name].__name__} and {base.__name__} have {name}"
    return options


class Registry(dict[str, T], Generic[T]):
    """What may be chosen by name, or by import path.

    Args:
        kind: What it is, for messages: "model".
        known: By name.
    """

    def __init__(self, kind: str, known: Mapping[str, T]) -> None:
        super().__init__(known)
        self.kind = kind

    def find(self, name: str) -> T:
        """What `name` stands for: one of the known names, or `package.module:name` or `file.py:name`.

        Raises:
            InputError: It is neither; the nearest known name is told.
        """
        if is_import_path(name):
            found: T = load(name, self.kind)
            return found
        if name not in self:
            raise unknown_name(self.kind, name, self)
        return self[name]


def _told(value: Any) -> Any:
    """A value as a user would write it."""
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else value


@cache
def _ranges(options: Any) -> Mapping[str, tuple[In, ...]]:
    found = {name: tuple(e for e in _extras(hint) if isinstance(e, In)) for name, hint in hints(options).items()}
    return {name: ranges for name, ranges in found.items() if ranges}


@cache
def _registries(options: Any) -> Mapping[str, "Registry[Any]"]:
    found = hints(options).items()
    return {name: extra.registry for name, hint in found for extra in _extras(hint) if isinstance(extra, OneOf)}


def _extras(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__


def bare(hint: Any) -> Any:
    """A type without its `Annotated` metadata."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
