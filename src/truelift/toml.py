"""Users' TOML files."""

import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truelift.errors import InputError, one_line

MOST_BYTES = 2**24
"""Of a file; a study with a thousand variants has some hundred thousand."""

# A key of a hundred parts, from the beginning of a line on: the parser's time grows as the square of their number.
# Nothing is given back once it is taken (`*+`), or a line of n blanks would be tried in n² ways.
_DEEP = re.compile(r"""^[ \t]*+\[*+[ \t]*+(?:[\w"'-]++[ \t]*+\.[ \t]*+){100}""", re.MULTILINE)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: The file is missing, is no regular file, is too large, or is not TOML.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, a device never ends
            kind = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"{path} cannot be read as TOML: it is {kind}.")
        if found.st_size > MOST_BYTES:
            raise InputError(f"{path} cannot be read as TOML: it has {found.st_size:,} bytes, at most {MOST_BYTES:,}.")
        return parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as TOML: {one_line(error)}.") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ValueError: It is not TOML, a key has more than a hundred parts, or it has a whole number of more than 64 bits,
            which TOML does not ask for and which nothing here could hold.
    """
    if _DEEP.search(text):
        raise ValueError("a key must have a hundred parts at most")
    tables = tomllib.loads(text)
    for number in _whole_numbers(tables):
        if not -(2**63) <= number < 2**63:
            raise ValueError(f"a whole number must have 64 bits at most, got one of {number.bit_length()}")
    return tables


def _whole_numbers(tables: dict[str, Any]) -> Iterator[int]:
    waiting: list[Any] = [tables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, int):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
