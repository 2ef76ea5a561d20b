"""The command of a user's own program: {seed}, {out} and {args} are filled in; quoting is the shell's.

No shell runs it: its words are given to the program as they stand. What only a shell would understand is refused, with
the `bash -c` line that would work.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import tomli_w

from truelift.errors import InputError, is_number, is_whole, require, unknown_name
from truelift.studies.shell import shell_syntax, through_bash
from truelift.studies.words import args_are_for_shell, filled_words

_PLACEHOLDERS = ("seed", "out", "args")

MOST_RETRIES = 100
MOST_SECONDS = 10**9

PROGRAM_KEYS: Mapping[str, Mapping[str, Any]] = {
    "command": {
        "description": "A program of your own, with {seed}, {out} and, where there are some, {args}.",
        "type": "string",
    },
    "inputs": {
        "description": "Files and folders that the program reads, from where the study is started: their content is "
        "recorded with each run.",
        "type": "array",
        "items": {"type": "string"},
    },
    "results": {
        "description": "A table or a JSON file that it leaves in {out} in place of metrics.json: the numbers of a "
        "table's last row are the metrics.",
        "type": "string",
    },
    "timeout": {"description": "Seconds that a run may take.", "type": "number", "exclusiveMinimum": 0},
    "retries": {
        "description": "How many times a failed run is tried again in the same command.",
        "type": "integer",
        "minimum": 0,
        "maximum": MOST_RETRIES,
    },
}
"""What a study file says of a program, for all variants or for one, each with its part of a JSON schema."""


@dataclass(frozen=True)
class Program:
    """A user's program."""

    command: str
    """With {seed}, {out} and {args} to be filled in."""
    inputs: tuple[str, ...]
    """Files and folders whose content belongs to a result."""
    timeout: float | None
    """Seconds of a run at most."""
    retries: int
    """Further tries of a run that has failed."""
    results: str | None = None
    """What it leaves in place of metrics.json, from its folder."""

    def config(self) -> dict[str, Any]:
        """What config.toml says beside command, args and seed: how it is run, which makes no run another one."""
        how = {"timeout": self.timeout, "retries": self.retries or None, "inputs": list(self.inputs) or None}
        return {name: value for name, value in {**how, "results": self.results}.items() if value is not None}


def read_program(command: Any, table: Mapping[str, Any]) -> Program:
    """The program that a study file describes.

    Args:
        command: Its command.
        table: With args, inputs, timeout and retries, as far as they are given.

    Raises:
        InputError: One of them is none.
    """
    check_command(command, table.get("args", ""))
    inputs, timeout, retries = table.get("inputs", []), table.get("timeout"), table.get("retries", 0)
    texts = isinstance(inputs, list) and all(isinstance(one, str) and one and "\0" not in one for one in inputs)
    require("inputs", repr(inputs), texts, "a list of files and folders")
    seconds = is_number(timeout) and 0 < timeout <= MOST_SECONDS
    require("timeout", repr(timeout), timeout is None or seconds, f"seconds, above 0 and at most {MOST_SECONDS:,}")
    whole = is_whole(retries) and 0 <= retries <= MOST_RETRIES
    require("retries", repr(retries), whole, f"a whole number from 0 to {MOST_RETRIES}")
    results = table.get("results")
    is_file = results is None or (isinstance(results, str) and _is_below(results))
    require(
        "results", repr(results), is_file, "the name of a .csv, .tsv or .json file in {out} that is none of truelift's"
    )
    return Program(command, tuple(inputs), None if timeout is None else float(timeout), retries, results)


def metrics_file(config: Mapping[str, Any]) -> str:
    """Where a run's program leaves its metrics, or has left them, from its folder.

    Args:
        config: The content of config.toml, or of result.json.
    """
    return str(config.get("results", "metrics.json"))


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    ours = ("environment.json", "failure.json", "result.json")
    inside = not path.is_absolute() and ".." not in path.parts and "\0" not in name and name not in ours
    return inside and path.suffix in (".csv", ".tsv", ".json")


def check_command(command: Any, args: Any) -> None:
    """Refuse a command that could not be filled in and started.

    Args:
        command: With {seed} and {out}, and {args} where there are some.
        args: A variant's own.

    Raises:
        InputError: One of them is no text, a placeholder is unknown, missing or written with a format, a quote is not
            closed, or it needs a shell.
    """
    for name, value in (("command", command), ("args", args)):
        if not isinstance(value, str):
            raise InputError(f"{name} must be text, got {value!r}.")
        if "\0" in value:
            raise InputError(f"{name} must be without a character of number 0, got {value!r}.")
    try:
        found = [part for part in string.Formatter().parse(command) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"command has unmatched braces: {error}.") from None
    for _, field, form, conversion in found:
        if field not in _PLACEHOLDERS:
            raise unknown_name("placeholder in command", str(field), _PLACEHOLDERS)
        if form or conversion:
            raise InputError(f"command must contain {{{field}}} as it stands, without a format, got {command}.")
    fields = {field for _, field, _, _ in found}
    for needed in ("seed", "out"):
        if needed not in fields:
            raise InputError(f"command must contain {{{needed}}}, got {command}.")
    if args and "args" not in fields:
        raise InputError(f"command must contain {{args}} where args are given, got {command}.")
    try:
        filled_words(command, seed=0, out="out", args=args)
    except ValueError as error:
        got = command + (f" with args {args}" if args else "")
        raise InputError(f"command must be closed quotes and words ({error}), got {got}.") from None
    found_syntax = shell_syntax(command)
    if found_syntax is None and not args_are_for_shell(command):
        found_syntax = shell_syntax(args, begins=False)
    if found_syntax is not None:
        line = tomli_w.dumps({"command": through_bash(command)}).strip()
        raise InputError(
            f"command must be without what only a shell understands, and no shell runs it: {found_syntax}. Put it into "
            f"quotes if the program is to get it as it stands; with a shell: {line}"
        )
