"""Files that are being written, held by locks of the system's that go with their process; folders have `leases`."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from truelift.errors import InputError, one_line

# Of `files.whole_file`, and as version 0.1 named them.
_TEMPORARY = re.compile(
    r"\..+\.[0-9a-f]{8}\.partial"
    r"|\.(config\.toml|(environment|result|failure|study)\.json|code\.patch|metrics\.jsonl|(predictions|features)\.npz"
    r"|checkpoint\.pt|report\.(html|md|csv|tex))\.[a-z0-9_]{8}"
)

_WAIT_SECONDS = 30.0
"""How long another writer may hold a file that is appended to."""

# The open files that this process is writing.
_writing: set[int] = set()


def _let_go() -> None:
    for file in _writing:
        os.close(file)
    _writing.clear()


# A forked process, such as one that decodes photographs, has its parent's locks, and may outlive it by seconds.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class InUseError(InputError):
    """Another process holds the folder or file."""


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it is missing.

    Raises:
        InputError: A file is in its place, or in that of one above it.
        OSError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder} must be a folder: a file is in its way.") from None


def check_folder(folder: Path) -> None:
    """Refuse a place where no folder can be, or nothing be written, before anything is made there.

    Raises:
        InputError: A file is in its place, or in that of one above it; or it is not to be written.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise InputError(f"{folder} must be a folder: a file is in its way.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{folder} must be a folder that can be written: {there} is none.")


@contextlib.contextmanager
def appended_file(path: Path) -> Iterator[int]:
    """Open a file that is only ever appended to, made where it is missing, and hold it against other writers.

    Args:
        path: The file; its folder is made where it is missing.

    Returns:
        The open file: what is written goes to its end.

    Raises:
        InputError: It is no regular file, or cannot be opened or locked.
        InUseError: Another writer held it all the while.
    """
    try:
        make_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be opened for writing: {one_line(error)}.") from None
    _writing.add(file)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InputError(f"{path} is no regular file.")
        deadline = time.monotonic() + _WAIT_SECONDS
        try:
            while not try_lock(file):
                if time.monotonic() > deadline:
                    raise InUseError(f"{path} is in use by another process.")
                time.sleep(0.01)
        except OSError as error:
            raise InputError(f"{path} cannot be locked: {one_line(error)}.") from None
        yield file
    finally:
        _writing.discard(file)
        os.close(file)


@contextlib.contextmanager
def being_written(file: int) -> Iterator[None]:
    """Keep an open temporary file from `remove_temporary`, in whatever process, until the block ends."""
    with contextlib.suppress(OSError):  # a file system without locks: nobody gets as far as to remove it there
        try_lock(file)
    _writing.add(file)
    try:
        yield
    finally:
        _writing.discard(file)


def remove_temporary(folder: Path) -> None:
    """Remove the temporary files of killed writes in a folder that this process holds."""
    with os.scandir(folder) as entries:
        left = [
            Path(entry)
            for entry in entries
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in left:
        # One that cannot be removed is in nobody's way. One whose writer lives, a report's say, is locked.
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR)
            try:
                free = try_lock(file)
            finally:
                os.close(file)
            if free:
                path.unlink()


def try_lock(file: int) -> bool:
    """Whether the file is this process's now; False where it is another's.

    Raises:
        OSError: The file system has no locks.
    """
    from filelock import lock_descriptor  # here, because it takes a tenth of a second, and readers need no lock

    return lock_descriptor(file, blocking=False)
