"""The small YAML files that trackers write: scalars by name, nested by indentation. No YAML library is needed."""

import json
import re
from pathlib import Path

from truelift.records.elsewhere.run_table import Fact
from truelift.records.files import read_bytes

MOST_BYTES = 2**22
"""Of such a file."""

_LINE = re.compile(r"( *)([^\s#:'\"\[\]{}-][^:]*|'[^']*'|\"[^\"]*\"): *(.*)")
_WORDS: dict[str, Fact] = {"null": None, "~": None, "": None, "true": True, "false": False}


def read_flat_yaml(path: Path) -> dict[str, Fact]:
    """The scalars by dotted name; lists, anchors and texts over several lines are passed over.

    Raises:
        InputError: The file cannot be read.
    """
    found: dict[str, Fact] = {}
    above: list[tuple[int, str]] = []  # the names that are open, with their indentation
    for line in read_bytes(path, MOST_BYTES).decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            continue
        indent, name, value = len(match[1]), match[2].strip("'\""), match[3]
        while above and above[-1][0] >= indent:
            above.pop()
        if not value:
            above.append((indent, name))
        else:
            found[".".join([*(n for _, n in above), name])] = _scalar(value)
    return found


def _scalar(value: str) -> Fact:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if value[0] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    if value[0] == "'":
        return value.strip("'").replace("''", "'")
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
