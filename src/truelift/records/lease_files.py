"""The leases of a folder as files: one is taken, the last one counts.

The rules are those of `truelift.records.leases`.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from truelift.errors import InputError, one_line
from truelift.records.holder import Holder, about_this_process, heartbeat_seconds, holder_in
from truelift.records.locks import InUseError, make_folder, try_lock

SILENT_BEATS = 8
"""A lease of another machine is taken over after so many missing heartbeats."""

_MAKING_SECONDS = 5.0
"""What a lease may take to have its content, where it cannot be made whole."""

_NAME = re.compile(r"\.lease-([1-9][0-9]{0,17})")
_MOST_BYTES = 4096
# Of file systems that have no second name for a file: the lease is made under its name at once then.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL)


@dataclass(frozen=True)
class Found:
    """A lease that is there."""

    path: Path
    number: int
    modified: float
    """Time of the last heartbeat, by the file system."""
    holder: Holder | None
    """None where its content is no lease's: it is being made, or is damaged."""

    def holds(self, now: float) -> bool:
        """Whether it still holds the folder.

        Args:
            now: Time by the file system.
        """
        if self.holder is not None and self.holder.is_here and os.name != "nt":
            return self.holder.is_running() or _is_locked(self.path)
        silence = _MAKING_SECONDS if self.holder is None else SILENT_BEATS * self.holder.heartbeat
        return now - self.modified <= silence


def take(folder: Path) -> tuple[Path, int, int]:
    """Make a lease of this process's.

    Returns:
        Its path, its number, and the open file.

    Raises:
        InUseError: Another process has one.
        InputError: The folder or the file cannot be made.
    """
    heartbeat = heartbeat_seconds()
    token = secrets.token_hex(4)
    content = json.dumps(about_this_process(token, heartbeat)).encode()
    new = folder / f".lease.{token}.partial"
    try:
        while True:
            make_folder(folder)
            try:
                now = _written(new, content)
                last = last_of(folder)
                if last is not None and last.holds(now):
                    raise InUseError(_in_use(folder, last))
                number = 1 if last is None else last.number + 1
                path = folder / f".lease-{number}"
                if _is_made(new, path, content):
                    if _is_rightful(folder, number, last):
                        file = os.open(path, os.O_RDWR)
                        with contextlib.suppress(OSError):  # no locks: descendants of a killed holder are not seen
                            try_lock(file)
                        return path, number, file
                    path.unlink()
            except FileNotFoundError:  # the folder was removed in between, or the lease was given back
                continue
            finally:
                with contextlib.suppress(OSError):
                    new.unlink()
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk
            error = type(error)(error.errno, error.strerror, str(new))
        raise InputError(f"{folder} cannot be locked: {one_line(error)}.") from None


def _written(path: Path, content: bytes) -> float:
    """Write a new file; the time that the file system gave it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        os.write(file, content)
        if os.utime in os.supports_fd:
            os.utime(file)  # by a server's clock, where a write would have this machine's
        return os.fstat(file).st_mtime
    finally:
        os.close(file)


def _is_made(new: Path, path: Path, content: bytes) -> bool:
    """Whether the lease is this process's now, under a name that nobody else had given."""
    try:
        os.link(new, path)
        return True
    except FileExistsError:
        # Over a network the answer may be lost, and the question be asked twice.
        return new.stat().st_nlink > 1 and os.path.samestat(new.stat(), path.stat())
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    try:
        _written(path, content)
        return True
    except FileExistsError:
        return False


def _is_rightful(folder: Path, number: int, judged: Found | None) -> bool:
    """Whether nothing is higher, and what is lower is what was judged to hold no more; that is removed then."""
    below = _all(folder, but=number)
    if any(found.number > number for found in below):
        return False
    now = max(below, key=lambda found: found.number, default=None)
    if (now is None) != (judged is None) or _token(now) != _token(judged):
        return False
    for found in below:
        with contextlib.suppress(OSError):
            found.path.unlink()
    return True


def _token(found: Found | None) -> str | None:
    return None if found is None or found.holder is None else found.holder.token


def numbers_of(folder: Path) -> list[int]:
    """Of the leases that are there, as their names have them."""
    try:
        return [int(match[1]) for name in os.listdir(folder) if (match := _NAME.fullmatch(name))]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _all(folder: Path, *, but: int = 0) -> list[Found]:
    there = (_read(folder / f".lease-{number}", number) for number in numbers_of(folder) if number != but)
    return [found for found in there if found is not None]


def last_of(folder: Path) -> Found | None:
    """The lease that counts."""
    return max(_all(folder), key=lambda found: found.number, default=None)


def _read(path: Path, number: int) -> Found | None:
    """A lease; none where it is gone.

    Raises:
        OSError: It cannot be read.
    """
    try:
        # Opened, so that a network's file system looks at its server.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESTALE):
            raise
        return None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        content = os.read(file, _MOST_BYTES)
        return Found(path, number, os.fstat(file).st_mtime, holder_in(content))
    finally:
        os.close(file)


def _is_locked(path: Path) -> bool:
    """Whether a child of the holder that ended still has the lease open."""
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDWR)
        try:
            return not try_lock(file)
        finally:
            os.close(file)
    return False


def _in_use(folder: Path, by: Found) -> str:
    if by.holder is None or by.holder.is_here:
        return f"{folder} is in use by another process."
    return f"{folder} is in use by another process: {by.holder.words()}."
