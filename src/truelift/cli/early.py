"""Misspelt options and values, refused before torch is imported, which takes seconds.

options.json lists what `truelift study` and `train` take, as `option_table.py` writes it. It is the parser that
decides: what is not certain here is left to it, ranges and rules between options among them.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from truelift.errors import InputError, unknown_name
from truelift.own import is_import_path

TABLE = "options.json"

_ASKS = {"--help", "-h", "--help-all", "--version"}


def refuse_misspelt(tokens: Sequence[str]) -> None:
    """Refuse an option that a command does not have, or a value that an option cannot take, as far as is certain.

    Args:
        tokens: The command line, from the command's name on.

    Raises:
        InputError: As the parser would, in its words.
    """
    if not tokens or tokens[0] not in ("study", "train") or _ASKS & set(tokens):
        return
    known, groups, args_of = _table(tokens[0])
    given = list(_options(tokens[1:], groups, known))
    for name, _ in given:
        part = any(name.startswith(f"{args}.") for args in args_of)
        if _plain(name) not in known and not part:
            _refuse_name(name, known, of_study=tokens[0] == "study")
    for name, value in given:
        kind = known.get(_plain(name))
        if value is not None and kind is not None:
            _refuse_value(name, value, kind)


def without_options(tokens: Sequence[str]) -> Iterator[str]:
    """What of the tokens behind `truelift study` is no option, and does not stand behind one that takes a value."""
    known, _, _ = _table("study")
    takes_value = False
    for token in tokens:
        if token.startswith("-"):
            takes_value = token != "--" and "=" not in token and known.get(_plain(token[2:])) != "flag"
            continue
        if not takes_value:
            yield token
        takes_value = False


def of_seeds(tokens: Sequence[str]) -> str:
    """What to do where `truelift study` was given a list of seeds, beginning with a space; else empty."""
    given = any(token == "--seeds" or token.startswith("--seeds=") for token in tokens)
    listed = " --seeds is how many; a list of seeds stands in the study file: seeds = [3, 4, 5]."
    return listed if given and tokens[0] == "study" else ""


@cache
def _table(command: str) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The kinds of its options, the groups that are options too, and those of which any part is one."""
    table = json.loads(files("truelift.cli").joinpath(TABLE).read_text(encoding="utf-8"))
    return table["experiment"] | table[command], table["groups"][command], table["args"]


def _options(tokens: Sequence[str], groups: dict[str, str], known: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Each option's name, written out, and the value beside it, if there is one."""
    before = ""
    for place, token in enumerate(tokens):
        if token == "--":
            return
        is_value = " " in token and _plain(before) in known  # --executor.args "--constraint=a100 --exclude=node3"
        before = token.removeprefix("--")
        if not token.startswith("--") or is_value:
            continue
        name, equals, value = before.partition("=")
        following = next(iter(tokens[place + 1 : place + 2]), None)
        shown = None if following is None or following.startswith("-") else following
        yield groups.get(name, name), value if equals else shown


def _plain(name: str) -> str:
    return name.replace("-", "_")


_OF_A_FILE = (
    "question",
    "baseline",
    "metric",
    "higher_is_better",
    "smallest_effect",
    "guards",
    "pooling",
    "vary_split",
)
"""Keys of a study file that are no options: they are fixed before the first run."""


def _refuse_name(name: str, known: dict[str, Any], *, of_study: bool) -> None:
    if of_study and (key := _plain(name)) in _OF_A_FILE:
        raise InputError(f"Unknown option: --{name}. It stands in the study file: {key} = …")
    nearest = _nearest(name, known)
    raise InputError(f"Unknown option: --{name}." + (f" Did you mean --{nearest}?" if nearest else ""))


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6)), None)


def _refuse_value(name: str, value: str, kind: Any) -> None:
    match kind:
        case "int" | "float":
            if kind == "int" and "." in value:
                raise InputError(f"{name} must be a whole number, got {value}.")
            if not _is_number(value):
                raise InputError(f'Invalid value for --{name}: unable to convert "{value}" into {kind}.')
        case {"one of": choices}:
            if value.replace("_", "-") not in choices and value not in choices:
                shown = ", ".join(f'"{choice}"' for choice in choices)
                nearest = _nearest(value, choices)
                hint = f' Did you mean "{nearest}"?' if nearest else ""
                raise InputError(f'Invalid value "{value}" for --{name}. Choose from: {shown}.{hint}')
        case {"registry": registry, "names": names}:
            if value not in names and not is_import_path(value):
                raise unknown_name(registry, value, names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text[:2].lower() in ("0x", "0b", "0o")
    return True
