"""The files of a user's program, so that results of an old version are told from those of a new one."""

import functools
import hashlib
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.own import sources
from truelift.studies.words import filled_words

_MOST_BYTES = 2**24
"""Of a file that is read; of a larger one its size tells."""
_MOST_OF_FOLDER = 2**28
"""Of all files of a folder that are read."""
_OF_TOOLS = ("__pycache__", ".git")
"""Folders that change by being used."""


def command_line(config: Mapping[str, Any], out: Path) -> list[str]:
    """The words of a program's command, filled in.

    Args:
        config: `command`, `args` and `seed`.
        out: The run's folder.

    Raises:
        InputError: Its quotation marks do not match.
    """
    command, args = config["command"], config["args"]
    try:
        return filled_words(command, seed=config["seed"], out=str(out), args=args)
    except ValueError as error:
        got = command + (f" with args {args}" if args else "")
        raise InputError(f"command cannot be split into words ({error}), got {got}") from None


def source_digests(config: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Sixteen hexadecimal digits for each file that a command names, and for the modules beside a script that it uses.

    A word of the command counts if it is a file, or is so behind an equals sign, or names a module after `-m`; a word
    in quotation marks is looked through too (`sh -c "python train.py"`). Binary programs, such as the interpreter, are
    left out.

    Args:
        config: `command`, `args` and `seed`, and the `inputs`, whose content counts too, whatever it is.
        out: The run's folder: what lies there is a result.
    """
    found: dict[str, str] = {}
    for given in config.get("inputs", ()):
        path = Path(given).expanduser()
        found[_name(path)] = _digest_of_folder(path, out) if path.is_dir() else _digest(path)
    for word, module in _words(command_line(config, out)):
        path = Path(word)
        if not _is_source(path, out):
            continue
        for file in (path, *_beside(path, module)):
            found[_name(file)] = _digest(file)
    return dict(sorted(found.items()))


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files that are in both and differ; one that only one of them names has not changed."""
    return [name for name in sorted(before.keys() & now.keys()) if before[name] != now[name]]


def made_meanwhile(before: Mapping[str, str], config: Mapping[str, Any], out: Path) -> list[str]:
    """The files that a command names and that were not there before it ran, such as a log: no sources of later runs.

    Args:
        before: From `source_digests`, before the program ran.
        config: As it was given there.
        out: The run's folder.
    """
    return [name for name in source_digests({**config, "inputs": ()}, out) if name not in before]


def _words(command: list[str]) -> Iterator[tuple[str, str]]:
    """What may be a file, and the name by which Python imports it, where it does."""
    for place, word in enumerate(command):
        yield word, ""
        if "=" in word:
            yield word.partition("=")[2], ""
        if place and command[place - 1] == "-m":
            module = Path(*word.split("."))
            yield str(module.with_suffix(".py")), word
            yield str(module / "__main__.py"), f"{word}.__main__"
            yield str(module / "__init__.py"), word
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


def _beside(path: Path, module: str) -> list[Path]:
    if path.suffix != ".py":
        return []
    try:
        return sources(f"{path}:main", "program", module)
    except (InputError, OSError, ValueError):
        return []


def _name(path: Path) -> str:
    """As from here, where it lies below; so that the same program elsewhere is the same."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


def check_inputs(inputs: Iterable[str]) -> None:
    """Refuse an input that is not there.

    Raises:
        InputError: One is neither a file nor a folder.
    """
    for given in inputs:
        if not Path(given).expanduser().exists():
            raise InputError(f"inputs must be existing files and folders, got {given}.")


def check_program(command: str) -> None:
    """Refuse a command whose program is not there, or may not be run: every run would fail of it.

    Raises:
        InputError: It is no such program.
    """
    name = shlex.split(command)[0]
    if "{" not in name and shutil.which(name) is None:
        raise InputError(f"command must begin with a program that is there and may be run, got {name}.")


def _digest_of_folder(folder: Path, out: Path) -> str:
    """Of every file's place and content in it and below; beyond `_MOST_OF_FOLDER` bytes the others' sizes tell."""
    found, left = hashlib.sha256(), _MOST_OF_FOLDER
    for place, folders, files in os.walk(folder):
        kept = (name for name in folders if name not in _OF_TOOLS)
        folders[:] = sorted(name for name in kept if not _is_result(Path(place, name), out))
        for name in sorted(files):
            path = Path(place, name)
            try:
                size = path.stat().st_size
            except OSError:
                size = -1
            content = _digest(path) if 0 <= size <= left else str(size)
            left -= size if 0 <= size <= left else 0
            found.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode(errors="surrogateescape"))
    return found.hexdigest()[:16]


def _is_result(folder: Path, out: Path) -> bool:
    """Whether runs lie there: a study's results are none of its inputs."""
    return (folder / "study.json").exists() or folder.resolve() == out.resolve()


def _digest(path: Path) -> str:
    try:
        found = path.stat()
        return _digest_of_content(path.absolute(), found.st_size, found.st_mtime_ns)
    except OSError:  # it was there a moment ago
        return "unreadable"


@functools.cache
def _digest_of_content(path: Path, size: int, written: int) -> str:
    """Once a process for a file as it is now: each finished run of a study asks for the same files."""
    content = path.read_bytes() if size <= _MOST_BYTES else str(size).encode()
    return hashlib.sha256(content).hexdigest()[:16]
