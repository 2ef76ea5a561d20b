"""The options that `early.py` knows, as the parser has them.

    python -m truelift.cli.option_table

writes options.json again, after an option was added.
"""

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from truelift.cli import app
from truelift.cli.early import TABLE
from truelift.cli.given import OPTION_STYLE
from truelift.options import OneOf, bare, hints
from truelift.training.experiment import Experiment
from truelift.training.settings import NAMED_GROUPS, OPTIONS

COMMANDS = ("study", "train")


def option_table() -> dict[str, Any]:
    """Names without hyphens, each with its kind: "int", "float", "flag", choices, a registry's names, or null."""
    registries = _registries(Experiment)
    kinds = {command: _kinds(command, registries) for command in COMMANDS}
    shared = {name: kind for name, kind in kinds["train"].items() if name.split(".")[0] in hints(Experiment)}
    own = {c: {name: kind for name, kind in found.items() if name not in shared} for c, found in kinds.items()}
    groups = {"train": dict(NAMED_GROUPS), "study": dict(NAMED_GROUPS) | {"executor": "executor.name"}}
    return {"groups": groups, "args": [n for n in OPTIONS if n.endswith(".args")], "experiment": shared, **own}


def _kinds(command: str, registries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for argument in app[command].assemble_argument_collection(default_parameter=OPTION_STYLE, parse_docstring=False):
        for given in argument.names if argument.parse else ():
            if given.startswith("--"):
                name = given.removeprefix("--").replace("-", "_")
                negative = given in argument.negatives
                found[name] = "flag" if negative else registries.get(name) or _kind(argument.hint)
    return found


def _kind(hint: Any) -> Any:
    if hint in (int, float):
        return hint.__name__
    if hint is bool:
        return "flag"
    of_text = get_origin(hint) is Literal and all(isinstance(choice, str) for choice in get_args(hint))
    return {"one of": list(get_args(hint))} if of_text else None


def _registries(group: Any, prefix: str = "") -> dict[str, dict[str, Any]]:
    """The names that may be chosen, of options that hold one."""
    found: dict[str, dict[str, Any]] = {}
    for name, hint in hints(group).items():
        plain = bare(hint)
        if is_dataclass(plain):
            found |= _registries(plain, f"{prefix}{name}.")
        elif plain is str:
            for extra in getattr(hint, "__metadata__", ()):
                if isinstance(extra, OneOf):
                    found[f"{prefix}{name}"] = {"registry": extra.registry.kind, "names": list(extra.registry)}
    return found


if __name__ == "__main__":
    text = json.dumps(option_table(), indent=1, ensure_ascii=False)
    Path(__file__).with_name(TABLE).write_text(f"{text}\n", encoding="utf-8")
