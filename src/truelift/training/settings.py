"""Between settings by name, as a TOML file, a study or the command line give them, and a typed experiment.

A value keeps its type: `epochs = "30"` is text and refused. The names are those of the command line.
"""

import dataclasses
import datetime
import difflib
import tomllib
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from truelift.errors import InputError, shown, unknown_name
from truelift.options import bare, hints
from truelift.toml import parse_toml
from truelift.training.experiment import Experiment

_ARGS = "args"
# Found by itself; a run's config.toml has it.
_OWN = "own"


def _options(group: Any, prefix: str = "") -> dict[str, Any]:
    """The type of every option, by dotted name; of the `args` of a user's own parts that of all of them."""
    found: dict[str, Any] = {}
    for name, hint in hints(group).items():
        plain = bare(hint)
        if dataclasses.is_dataclass(plain):
            found |= _options(plain, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = plain
    return found


OPTIONS: Mapping[str, Any] = _options(Experiment)
"""The type of every option of an experiment, by dotted name."""

# `--data cifar10` is short for `--data.name cifar10`, and so for each group that has a name, or names.
NAMED_GROUPS: Mapping[str, str] = {
    name.rpartition(".")[0]: name for name in OPTIONS if name.endswith((".name", ".names"))
}


_GROUPS = frozenset(name.rpartition(".")[0] for name in OPTIONS if "." in name)


def expand_names(tokens: Iterable[str]) -> list[str]:
    """Write `--data X` out as `--data.name X`, for each named group, and `--flag false` as `--flag=false`."""
    expanded: list[str] = []
    for token in tokens:
        option, equals, value = token.partition("=")
        if option.startswith("--") and option.removeprefix("--") in NAMED_GROUPS:
            expanded.append(f"--{NAMED_GROUPS[option.removeprefix('--')]}{equals}{value}")
        elif token in ("true", "false") and expanded and expanded[-1].startswith("--") and "=" not in expanded[-1]:
            expanded[-1] += f"={token}"
        else:
            expanded.append(token)
    return expanded


_PLAIN = (bool, int, float, str)
"""Types of most values: a plan of ten thousand runs has millions."""


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names: {"model": {"width": 8}} is {"model.width": 8}.

    An empty table stays, unless it is a group's or the `args` of a part: it is the value of an option, or unknown.

    Raises:
        InputError: Two of them have one name: {"model": {"width": 8}, "model.width": 4}.
    """

    def is_group(name: str) -> bool:
        return name in _GROUPS or (name in OPTIONS and name.endswith(f".{_ARGS}"))

    flat: dict[str, Any] = {}
    found: Iterable[tuple[str, Any]]
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if not isinstance(value, _PLAIN) and isinstance(value, Mapping) and name != _OWN and (value or is_group(name)):
            found = flatten(value, f"{name}.").items()
        else:
            found = ((NAMED_GROUPS.get(name, name), value),)
        for full, one in found:
            if full in flat:
                raise InputError(f"{full} must be given once, got {flat[full]} and {one}.")
            flat[full] = one
    return flat


def parse_experiment(settings: Mapping[str, Any], source: str) -> Experiment:
    """The experiment that `settings` describe; what they leave out has its default.

    Args:
        settings: Typed values by dotted name; those of a user's own part by `GROUP.args.NAME`.
        source: Where they come from, for the error.

    Raises:
        InputError: An unknown name (with the nearest known one) or a value of the wrong type.
    """
    groups: dict[str, dict[str, Any]] = {}
    own: dict[str, Any] = {}
    for given, value in settings.items():
        name = NAMED_GROUPS.get(given, given)
        group, _, field = name.rpartition(".")
        args_of, is_arg, _ = name.partition(f".{_ARGS}.")
        if is_arg and f"{args_of}.{_ARGS}" in OPTIONS:
            if _has_time(value):
                raise InputError(f"{source}: {name} must be text in place of a date or time, got {shown(value)}.")
            groups.setdefault(args_of, {}).setdefault(_ARGS, {})[name.removeprefix(f"{args_of}.{_ARGS}.")] = value
            continue
        if name not in OPTIONS or field == _ARGS:
            raise InputError(f"{source}: {_unknown(name)}")
        target = groups.setdefault(group, {}) if group else own
        target[field] = _converted(name, value, source)
    for group, fields in groups.items():
        own[group] = type(getattr(_DEFAULTS, group))(**fields)
    return Experiment(**own)


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Nested plain values, without the options that are None or an empty table: what a TOML file can hold."""

    def plain(value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return value
        if dataclasses.is_dataclass(value):
            items = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
            return {name: plain(item) for name, item in items if item is not None and item != {}}
        return list(value) if isinstance(value, tuple) else value

    return dict(plain(experiment))


def value_of(experiment: Experiment, name: str) -> Any:
    """The value of an option, by dotted name."""
    value: Any = experiment
    for part in name.split("."):
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def literal(text: str) -> Any:
    """A value that the command line gives to a part of the user's own: as TOML has it, else as text.

    >>> literal("0.5"), literal("true"), literal("cat")
    (0.5, True, 'cat')
    """
    try:
        given = parse_toml(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise InputError(f"{text} cannot be a value: {error}.") from None
    # `1\nother = 2` is a text that looks like two values.
    return given["value"] if len(given) == 1 else text


_DEFAULTS = Experiment()


def _has_time(value: Any) -> bool:
    """Whether a TOML value has a date or a time, which JSON lacks."""
    if isinstance(value, Mapping | list):
        return any(map(_has_time, value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, datetime.date | datetime.time)


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name[:100], [known for known in OPTIONS if known != _OWN], n=1, cutoff=0.5)
    return f"Unknown option: --{name}." + (f" Did you mean --{nearest[0]}?" if nearest else "")


def _converted(name: str, value: Any, source: str) -> Any:
    hint = OPTIONS[name]
    if value == [] and type(None) in get_args(hint):
        return None  # as in a variant that leaves out what the others share
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        pass
    choices = [choice for part in (hint, *get_args(hint)) if get_origin(part) is Literal for choice in get_args(part)]
    named = choices and bool not in get_args(hint) and all(isinstance(choice, str) for choice in choices)
    if named and isinstance(value, str):
        raise InputError(f"{source}: {unknown_name(f'value of {name}', value, choices)}")
    told = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else value
    raise InputError(f"{source}: {name} must be {_described(hint)}, got {told}.")


def _described(hint: Any) -> str:
    """What a value of a type is called."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(part) for part in get_args(hint) if part is not type(None))
    if origin is Literal:
        return " or ".join(map(str, get_args(hint)))
    if origin is tuple:
        return f"a list, each item {_described(get_args(hint)[0])}"
    if origin is dict:
        return "a table"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]
