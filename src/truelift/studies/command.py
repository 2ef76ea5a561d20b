"""The command of a user's own program: {seed}, {out} and {args} are filled in; quoting is the shell's."""

import shlex
import string
from typing import Any

from truelift.errors import InputError, unknown_name

_PLACEHOLDERS = ("seed", "out", "args")


def check_command(command: Any, args: Any) -> None:
    """Refuse a command that could not be filled in and started.

    Args:
        command: With {seed} and {out}, and {args} where there are some.
        args: A variant's own.

    Raises:
        InputError: One of them is no text, a placeholder is unknown, missing or written with a format, or a quote is
            not closed.
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
    filled = command.format(seed=0, out="out", args=args)
    try:
        shlex.split(filled)
    except ValueError as error:
        raise InputError(f"command must be closed quotes and words ({error}), got {filled}.") from None
