"""Files that are written whole or not at all, and read only where they can be what they should."""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from truelift.errors import InputError, one_line
from truelift.records.leases import check_held
from truelift.records.locks import being_written, make_folder

# Without O_NONBLOCK, opening a pipe that nobody writes to would already block.
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_AT_ONCE = 2**24
"""Bytes of a file that is longer than it was."""


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def told_with(path: Path) -> Iterator[None]:
    """Have an error of the system that does not say which file it met, a full disk for one, name `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def whole_file(path: Path, *, anew: bool = False) -> Iterator[BinaryIO]:
    """Write `path` whole or not at all: the file appears only when the block ends without an error.

    Its folder is made where it is missing.

    Args:
        path: The file.
        anew: Where it is there already, leave it.

    Raises:
        InputError: The folder is `leased` by this process, and was removed or taken over since.
        FileExistsError: It is there already, and was to be made anew.
    """
    folder = path.parent
    if not check_held(folder):
        make_folder(folder)
    # Opened as any other file would be, so that it has the user's umask.
    temporary = folder / f".{path.name}.{secrets.token_hex(4)}.partial"
    try:
        with told_with(path), temporary.open("xb") as file, being_written(file.fileno()):
            yield file
            file.flush()
            if os.fstat(file.fileno()).st_size:  # what is empty is whole without waiting for the disk
                os.fsync(file.fileno())
        check_held(folder)  # again: what takes a while to write may be written by one that was suspended meanwhile
        try:
            if anew:
                os.link(temporary, path)
                temporary.unlink()
            else:
                os.replace(temporary, path)
        except FileNotFoundError:
            check_held(folder)
            raise InputError(f"{path} cannot be written: its temporary file was removed meanwhile.") from None
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, in UTF-8, whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_unless_there(path: Path, text: str) -> None:
    """Write a text file unless that very text is there: to write a file whole waits for the disk."""
    content = text.encode()
    try:
        if read_bytes(path, len(content)) == content:
            return
    except InputError:  # missing, longer, or none that can be read
        pass
    write_text(path, text)


def begin_folder(path: Path, text: str) -> bool:
    """Make a folder with a first text file in it; whether that was done: not where the folder is there already.

    No lease is needed for it, since nobody has what was not there, and what another process makes of it meanwhile is
    left. A study of a thousand runs is made ready so in half of the time.

    Args:
        path: The file, whose folder is made.
        text: Its content, in UTF-8.
    """
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir()
        with whole_file(path, anew=True) as file:
            file.write(text.encode())
    except OSError:  # or the system makes no second name of a file, the disk is full: who takes a lease is told
        return False
    return True


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all. Numbers that JSON lacks (NaN, infinities) are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def regular_file(path: Path, most: int) -> Iterator[BinaryIO]:
    """Open a file for reading, if it is one: a pipe would block, and a device never ends.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        InputError: It is missing, no regular file, too large, or cannot be read.
    """
    try:
        with open(_opened(path, most)[0], "rb") as file:
            yield file
    except OSError as error:
        raise _unread(path, error) from None


def _opened(path: Path, most: int) -> tuple[int, int]:
    """A regular file of at most `most` bytes, opened for reading, and how many it has.

    Raises:
        InputError: It is no regular file, or too large.
        OSError: It cannot be opened.
    """
    file = os.open(path, _READING)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path} is no regular file.")
        if found.st_size > most:
            raise InputError(f"{path} has {found.st_size:,} bytes, more than the {most:,} that it may have.")
    except BaseException:
        os.close(file)
        raise
    return file, found.st_size


def _unread(path: Path, error: OSError) -> InputError:
    """Why a file could not be read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist.")
    if os.path.isdir(path):  # not of Path, which raises where the system cannot tell
        return InputError(f"{path} is no regular file.")
    return InputError(f"{path} cannot be read: {one_line(error)}.")


class End(NamedTuple):
    """The end of a file."""

    content: bytes
    is_cut: bool
    """Whether something stands before it: its first line most likely lacks its beginning."""
    written: float
    """When the file was last written, in seconds since 1970."""


def end_of(path: Path, most: int) -> End:
    """The last `most` bytes of a file of any size, or all of a shorter one.

    Raises:
        InputError: As `regular_file`.
    """
    with regular_file(path, 2**63 - 1) as file:
        start = max(0, file.seek(0, os.SEEK_END) - most)
        file.seek(start)
        return End(file.read(most), start > 0, os.fstat(file.fileno()).st_mtime)


def is_regular(path: Path) -> bool:
    """Whether there is a regular file, perhaps behind a link."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:  # links in a circle are one
        return False


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes.

    Raises:
        InputError: It is missing, no regular file, too large, or cannot be read.
    """
    # With no stream in between, which takes as long as to read a small file; a report reads tens of thousands.
    try:
        file, size = _opened(path, most)
        try:
            content = os.read(file, size + 1)  # to ask for `most` would take as much memory
            # It grows, or the system gave a part.
            while len(content) != size and len(content) <= most and (more := os.read(file, _AT_ONCE)):
                content += more
        finally:
            os.close(file)
    except OSError as error:
        raise _unread(path, error) from None
    if len(content) > most:
        raise InputError(f"{path} has more than the {most:,} bytes that it may have.")
    return content
