"""Which files of a folder are read: what is hidden is not, and what is no regular file is refused."""

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from truelift.errors import InputError, printable

# Folders and files, in lower case, that systems and programs leave among a user's own.
_LEFT_BEHIND = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "desktop.ini",
    "thumbs.db",
}


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the data: its name begins with a dot, or a system has left it there.

    >>> is_hidden(".ipynb_checkpoints"), is_hidden("__MACOSX"), is_hidden("cat")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder that are not hidden, sorted."""
    return sorted(folder for folder in root.iterdir() if not is_hidden(folder.name) and folder.is_dir())


def walk(folder: Path) -> Iterator[Path]:
    """The files in a folder at any depth, but for hidden ones; a folder is visited once, even if links lead back."""
    waiting, seen = [folder], {os.path.realpath(folder)}
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if not _is_folder(entry):
                    yield Path(entry.path)
                elif not entry.is_symlink():
                    waiting.append(Path(entry.path))
                elif (real := os.path.realpath(entry.path)) not in seen:
                    seen.add(real)
                    waiting.append(Path(entry.path))


def files_ending(root: Path, endings: Sequence[str], *, levels: int = 1, deeper: bool = False) -> list[Path]:
    """The files in a folder and its subfolders whose names end so, in lower or upper case, sorted.

    One level of subfolders, as on the hub (`train.parquet`, `data/train.parquet`): a tree of photographs is not
    searched in full.

    Args:
        root: The folder.
        endings: In lower case.
        levels: Of subfolders that are searched.
        deeper: Where none is found, whether one level more is searched (`default/train/0000.parquet`).

    Raises:
        InputError: One is no regular file, or some are deeper still, where nobody would read them.
    """
    inner, found = [root], _in(root, endings)
    for _ in range(levels):
        inner = [sub for folder in inner for sub in subfolders(folder)]
        found += [file for folder in inner for file in _in(folder, endings)]
    beyond = [sub for folder in inner for sub in subfolders(folder)] if found or deeper else []
    if deeper and not found:
        found = [file for folder in beyond for file in _in(folder, endings)]
        beyond = [sub for folder in beyond for sub in subfolders(folder)] if found else []
    if found and levels:
        lost = next((file for folder in beyond for file in walk(folder) if _ends(file, endings)), None)
        if lost is not None:
            raise InputError(f"{lost}: a file must be in {root} or in a folder there, no deeper.")
    for file in found:
        require_regular(file)
    return sorted(found)


def require_regular(file: Path | str) -> None:
    """Refuse what is no regular file (a pipe, a device, a folder): reading it might never end.

    Raises:
        InputError: It is none, or is not there.
    """
    try:
        regular = is_regular(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from error
    if not regular:
        raise InputError(f"{file}: must be a regular file.")


def is_regular(file: Path | str) -> bool:
    """Whether something is a regular file, or a link to one.

    Raises:
        OSError: It is not there, or may not be looked at.
    """
    return stat.S_ISREG(os.stat(file).st_mode)


def say(message: str) -> None:
    """Note on one line of the error stream how ambiguous input was understood."""
    print(f"truelift: note: {printable(message)}", file=sys.stderr)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, as `Path.is_dir` says: a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise


def _in(folder: Path, endings: Sequence[str]) -> list[Path]:
    return [
        file for file in folder.iterdir() if _ends(file, endings) and not is_hidden(file.name) and not file.is_dir()
    ]


def _ends(file: Path, endings: Sequence[str]) -> bool:
    return file.name.lower().endswith(tuple(endings))
