"""What only a shell understands in a command line, and the same line as a shell would be given it."""

import re
import shlex
from collections.abc import Iterator

# Longer ones first.
_OPERATORS = ("&&", "||", ">>", "2>", "&>", "|", ";", "&", ">", "<", "`")
_VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{\{|\()")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def shell_syntax(command: str, *, begins: bool = True) -> str | None:
    """The first thing in a command that only a shell would understand, in words; None without one.

    What stands in single quotes is the program's, and so is an operator in double quotes.

    Args:
        command: The command, or a part of it.
        begins: Whether the program's name stands in it: NAME=VALUE before that is a shell's, behind it the program's.

    >>> shell_syntax("python t.py {seed} | tee log"), shell_syntax("python t.py '|' {seed}")
    ('| (a pipe)', None)
    """
    if begins and (assignment := _ASSIGNMENT.match(command.lstrip())):
        return f"{assignment[0]}… (a variable before the program)"
    for place, character, quote in quotes_of(command):
        rest = command[place:]
        if quote in ("", '"'):
            variable = _VARIABLE.match(rest)
            if variable is not None:
                return f"{variable[0]} (a variable)" if variable[0][1:2] != "(" else "$( (another command's output)"
            if character == "`":
                return "` (another command's output)"
        if quote:
            continue
        if character == "~" and (place == 0 or command[place - 1] in " \t=") and re.match(r"~(/|\s|$)", rest):
            return "~ (the home folder)"
        for operator in _OPERATORS:
            if rest.startswith(operator):
                return f"{operator} ({_KINDS.get(operator, 'a redirection')})"
    return None


_KINDS = {
    "&&": "a second command",
    "||": "a second command",
    ";": "a second command",
    "|": "a pipe",
    "&": "a command in the background",
}


def through_bash(command: str) -> str:
    """The command as bash would be given it: `filled_words` fills in the placeholders for a shell there.

    >>> print(through_bash("a.sh {seed} {out} | tee log"))
    bash -c 'set -o pipefail; a.sh {seed} {out} | tee log'
    """
    return f"bash -c {shlex.quote(f'set -o pipefail; {command}')}"


def quotes_of(command: str) -> Iterator[tuple[int, str, str]]:
    """Each character that is no quotation mark and not escaped, with its place and the quotes it stands in."""
    quote, escaped = "", False
    for place, character in enumerate(command):
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                yield place, character, quote
        elif character in "'\"":
            quote = character
        else:
            yield place, character, quote
