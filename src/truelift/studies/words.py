"""A program's command as the words it is started with: {seed}, {out} and {args} filled in after the quotes are read.

So a folder's name is one part of one word whatever is in it and whatever quotes the placeholder stands in; in the text
that a shell is given (`bash -c '…{out}…'`) it is quoted for that shell.
"""

import re
import shlex
import string
from collections.abc import Callable, Mapping, Sequence

from truelift.studies.shell import quotes_of

# No command, args or path has a character of number 0. One for each placeholder stands for it while words are split.
_MARKS = {"seed": "\0s", "out": "\0o", "args": "\0a"}
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
_WITH_VALUE = ("-o", "+o", "-O", "+O")
"""Options of shells that another word belongs to."""


def filled_words(command: str, *, seed: int, out: str, args: str) -> list[str]:
    """The words of a command, filled in.

    `{args}` stands for the words of the args, or, in quotes, for their text; {seed} and {out} in the args are filled in
    too.

    Args:
        command: With {seed}, {out} and {args}; {{ and }} for braces.
        seed: The run's.
        out: Its folder.
        args: The variant's.

    Raises:
        ValueError: Quotation marks do not match.

    >>> filled_words('p {seed} "{out}" {args}', seed=1, out="a b", args="--x 'y z'")
    ['p', '1', 'a b', '--x', 'y z']
    >>> filled_words("sh -c 'p {out}'", seed=1, out="a b", args="")
    ['sh', '-c', "p 'a b'"]
    """
    given = args.replace("{seed}", _MARKS["seed"]).replace("{out}", _MARKS["out"])
    words = shlex.split(_filled(_marked(command), {"args": given}, lambda value, quote: None if quote else value))
    values = {"seed": str(seed), "out": out}
    found = []
    for place, word in enumerate(words):
        if _is_for_shell(words, place):
            whole = _filled(word, {"args": given}, lambda value, quote: _within(value, quote) if quote else value)
            found.append(_filled(whole, values, _within))
        else:
            found.append(_filled(_filled(word, {"args": given}, _as_it_is), values, _as_it_is))
    return found


def args_are_for_shell(command: str) -> bool:
    """Whether the args stand in the text that a shell is to run, so that they may have what only a shell understands.

    Args:
        command: As for `filled_words`, which takes it.

    >>> args_are_for_shell("sh -c 'p {seed} {out} {args}'"), args_are_for_shell("sh -c 'p $1' sh {args}")
    (True, False)
    """
    words = shlex.split(_marked(command))
    places = [place for place, word in enumerate(words) if _MARKS["args"] in word]
    return bool(places) and all(_is_for_shell(words, place) and _is_bare(words[place]) for place in places)


def _is_bare(text: str) -> bool:
    """Whether the args stand in no double quotes there, in which they would be text as it is."""
    return not any(quote == '"' and text.startswith(_MARKS["args"], place) for place, _, quote in quotes_of(text))


def _marked(command: str) -> str:
    """The command with marks in place of its placeholders."""
    parts = string.Formatter().parse(command)
    return "".join(literal + ("" if name is None else _MARKS[name]) for literal, name, _, _ in parts)


def _filled(text: str, values: Mapping[str, str], written: Callable[[str, str], str | None]) -> str:
    """The text with the marks of these placeholders replaced.

    Args:
        text: With marks.
        values: By placeholder.
        written: A value as it is to stand in such quotes ('"', "'" or none); None leaves the mark.
    """
    quotes = {place: quote for place, _, quote in quotes_of(text)}
    marks = {_MARKS[name]: value for name, value in values.items()}

    def replaced(found: "re.Match[str]") -> str:
        new = written(marks[found[0]], quotes.get(found.start(), "")) if found[0] in marks else None
        return found[0] if new is None else new

    return re.sub("\0[soa]", replaced, text)


def _as_it_is(value: str, quote: str) -> str:
    return value


def _within(value: str, quote: str) -> str:
    """A value in a shell's text, to be one part of a word there."""
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return value.replace("'", "'\"'\"'") if quote else shlex.quote(value)


def _is_for_shell(words: Sequence[str], place: int) -> bool:
    """Whether a word is the text that a shell is to run: `bash -o pipefail -c TEXT`."""
    if not place or not re.fullmatch(r"-[A-Za-z]*c", words[place - 1]):
        return False
    place -= 2
    while place >= 0 and words[place].rpartition("/")[2] not in _SHELLS:
        if place and words[place - 1] in _WITH_VALUE:
            place -= 1
        elif not words[place].startswith(("-", "+")):
            return False
        place -= 1
    return place >= 0
