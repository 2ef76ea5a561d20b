"""What a user's program prints, in a log.txt that cannot grow without bounds: its beginning and its end are kept."""

import contextlib
import os
import stat
import threading
from pathlib import Path

MOST_BYTES = 2**23
"""Of a log.txt."""
HEAD_BYTES = 2**22
"""What is kept of its beginning."""
TAIL_BYTES = 2**21
"""What is kept of its end, each time it has reached the most."""

_CHUNK = 2**16


class BoundedLog:
    """Copies what comes out of a pipe into log.txt, from a thread of its own, until the pipe ends.

    Args:
        pipe: The reading end; closed here.
        path: log.txt. Where the standard output is no such file, all is passed on to the standard output.
    """

    def __init__(self, pipe: int, path: Path) -> None:
        self._pipe = pipe
        self._file = _open(path)
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def finish(self, seconds: float = 5.0) -> None:
        """Wait until everything is written: whoever held the other end has closed it, or is given up after a while."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        try:
            while chunk := os.read(self._pipe, _CHUNK):
                self._write(chunk)
        except OSError:  # a full disk: the program goes on, and its output is lost
            with contextlib.suppress(OSError):
                while os.read(self._pipe, _CHUNK):
                    pass
        finally:
            os.close(self._pipe)
            if self._file is not None:
                os.close(self._file)

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(1 if self._file is None else self._file, rest) :]
        if self._file is not None and os.fstat(self._file).st_size > MOST_BYTES:
            _shorten(self._file)


def _open(path: Path) -> int | None:
    """log.txt, if it is where this process prints; none where it prints elsewhere."""
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    with contextlib.suppress(OSError):
        found = os.fstat(file)
        if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.fstat(1)):
            return file
    os.close(file)
    return None


def _shorten(file: int) -> None:
    """Leave out the middle, whole lines of it. Whoever else appends to the file goes on at its new end."""
    size = os.fstat(file).st_size
    tail = os.pread(file, TAIL_BYTES, size - TAIL_BYTES)
    tail = tail[tail.find(b"\n") + 1 :]
    head = os.pread(file, HEAD_BYTES, 0)
    kept = head.rfind(b"\n") + 1 or len(head)
    left_out = size - kept - len(tail)
    os.ftruncate(file, kept)
    rest = memoryview(b"truelift: %d bytes are left out here\n" % left_out + tail)
    while rest:
        rest = rest[os.write(file, rest) :]
