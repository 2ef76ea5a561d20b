"""One process at a time in a folder, by a lock that the system drops when its holder ends."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from truelift.errors import InputError, one_line

LOCK = ".lock"

# Of `files.whole_file`, and as version 0.1 named them.
_TEMPORARY = re.compile(
    r"\..+\.[0-9a-f]{8}\.partial"
    r"|\.(config\.toml|(environment|result|failure|study)\.json|code\.patch|metrics\.jsonl|(predictions|features)\.npz"
    r"|checkpoint\.pt|report\.(html|md|csv|tex))\.[a-z0-9_]{8}"
)

# The folders that this process holds, and the open files that hold them; and files that it is writing.
_held: dict[Path, int] = {}
_writing: set[int] = set()


def _let_go() -> None:
    for file in (*_held.values(), *_writing):
        os.close(file)
    _held.clear()
    _writing.clear()


# A forked process, such as one that decodes photographs, has its parent's locks, and may outlive it by seconds.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class InUseError(InputError):
    """Another process holds the folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, made where it is missing, against other processes; a killed holder lets go by itself.

    Temporary files that a killed holder left there are removed.

    Raises:
        InputError: It cannot be made, or its file system has no locks.
        InUseError: Another process holds it.
    """
    key = _key(folder)
    # Opening and closing the lock's file once more would cost the lock on systems where it belongs to the process.
    if key in _held:
        raise InputError(f"{folder} is in use by this process already.")
    file = _open(folder)
    _held[key] = file
    try:
        remove_temporary(folder)
        yield
    finally:
        if _held.get(key) == file:
            del _held[key]
            os.close(file)


def check_held(folder: Path) -> bool:
    """Whether this process holds `folder`.

    Raises:
        InputError: It did, but the folder was removed or replaced since.
    """
    file = _held.get(_key(folder))
    if file is None:
        return False
    if not _is_at(file, folder / LOCK):
        raise InputError(f"{folder} was removed while it was in use.")
    return True


def lock_of(folder: Path) -> int | None:
    """The open file that holds `folder` for this process, if it does: a child that has it too holds the folder too."""
    return _held.get(_key(folder))


def is_held(folder: Path) -> bool:
    """Whether a process of this machine holds `folder`, seen without touching its lock; on Linux alone, else False.

    A process that tries the lock would hold it for a moment, and one that begins just then would find it in use.
    """
    try:
        found = (folder / LOCK).stat()
        held = Path("/proc/locks").read_text()
    except OSError:
        return False
    return f" {os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino} " in held


@contextlib.contextmanager
def appended_file(path: Path, *, wait_seconds: float = 30.0) -> Iterator[int]:
    """Open a file that is only ever appended to, made where it is missing, and hold it against other writers.

    Args:
        path: The file; its folder is made where it is missing.
        wait_seconds: How long another writer may hold it.

    Returns:
        The open file: what is written goes to its end.

    Raises:
        InputError: It is no regular file, or cannot be opened or locked.
        InUseError: Another writer held it all the while.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be opened for writing: {one_line(error)}.") from None
    _writing.add(file)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InputError(f"{path} is no regular file.")
        deadline = time.monotonic() + wait_seconds
        try:
            while not _try_lock(file):
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
        _try_lock(file)
    _writing.add(file)
    try:
        yield
    finally:
        _writing.discard(file)


def remove_temporary(folder: Path) -> None:
    """Remove the temporary files of killed writes in a folder that this process holds."""
    with os.scandir(folder) as entries:
        left = [Path(entry) for entry in entries if _TEMPORARY.fullmatch(entry.name) and _is_file(entry)]
    for path in left:
        # One that cannot be removed is in nobody's way. One whose writer lives, a report's say, is locked.
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR)
            try:
                free = _try_lock(file)
            finally:
                os.close(file)
            if free:
                path.unlink()


def _open(folder: Path) -> int:
    """The file that holds the folder from now on."""
    path = folder / LOCK
    try:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)
            try:
                free = _try_lock(file)
                # Else the folder was removed in between: a lock on what is gone would hold nobody off.
                if free and _is_at(file, path):
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)
            if not free:
                raise InUseError(f"{folder} is in use by another process.")
    except OSError as error:
        raise InputError(f"{folder} cannot be locked: {one_line(error)}.") from None


def _try_lock(file: int) -> bool:
    """Whether the file is this process's now; False where it is another's.

    Raises:
        OSError: The file system has no locks.
    """
    from filelock import lock_descriptor  # here, because it takes a tenth of a second, and readers need no lock

    return lock_descriptor(file, blocking=False)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False)


def _key(folder: Path) -> Path:
    return Path(os.path.realpath(folder))
