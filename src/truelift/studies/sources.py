"""The files of a user's program, so that results of an old version are told from those of a new one."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.own import sources

_MOST_BYTES = 2**24
"""Of a file that is read; of a larger one its size tells."""


def command_line(config: Mapping[str, Any], out: Path) -> list[str]:
    """The words of a program's command, filled in.

    Args:
        config: `command`, `args` and `seed`.
        out: The run's folder.

    Raises:
        InputError: Its quotation marks do not match.
    """
    filled = config["command"].format(seed=config["seed"], out=shlex.quote(str(out)), args=config["args"])
    try:
        return shlex.split(filled)
    except ValueError as error:
        raise InputError(f"command cannot be split into words ({error}), got {filled}") from None


def source_digests(config: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Sixteen hexadecimal digits for each file that a command names, and for the modules beside a script that it uses.

    A word of the command counts if it is a file, or is so behind an equals sign, or names a module after `-m`; a word
    in quotation marks is looked through too (`sh -c "python train.py"`). Binary programs, such as the interpreter, are
    left out.

    Args:
        config: `command`, `args` and `seed`.
        out: The run's folder: what lies there is a result.
    """
    found: dict[str, str] = {}
    for word in _words(command_line(config, out)):
        path = Path(word)
        if not _is_source(path, out):
            continue
        for file in (path, *_beside(path)):
            found[_name(file)] = _digest(file)
    return dict(sorted(found.items()))


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files that are in both and differ, and those of which one has no more."""
    return [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]


def _words(command: list[str]) -> Iterator[str]:
    for place, word in enumerate(command):
        yield word
        if "=" in word:
            yield word.partition("=")[2]
        if place and command[place - 1] == "-m":
            module = Path(*word.split("."))
            yield from map(str, (module.with_suffix(".py"), module / "__main__.py", module / "__init__.py"))
        if " " in word:
            try:
                inner = shlex.split(word)
            except ValueError:
                continue
            if len(inner) > 1:
                yield from _words(inner)


def _is_source(path: Path, out: Path) -> bool:
    try:
        if not path.is_file() or path.resolve().is_relative_to(out.resolve()):
            return False
        with path.open("rb") as file:
            return b"\0" not in file.read(1024)
    except (OSError, ValueError):  # a word that no file can be named, or a file that is not readable
        return False


def _beside(path: Path) -> list[Path]:
    if path.suffix != ".py":
        return []
    try:
        return sources(f"{path}:main", "program")
    except (InputError, OSError, ValueError):
        return []


def _name(path: Path) -> str:
    """As from here, where it lies below; so that the same program elsewhere is the same."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


def _digest(path: Path) -> str:
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= _MOST_BYTES else str(size).encode()
    except OSError:  # it was there a moment ago
        return "unreadable"
    return hashlib.sha256(content).hexdigest()[:16]
