"""One process at a time in a folder, whichever machine it runs on: a lease, kept by a heartbeat.

A lease is a file `.lease-N` in the folder, which its holder has made exclusively and whose time it renews every
`HEARTBEAT`. The highest N holds. All that is asked of the file system is that a name is given once: it needs no locks.

- A holder lets go by removing its file.
- Of a holder on this machine it is seen at once whether it still runs. One that does keeps its lease, even when it is
  stopped.
- A holder on another machine keeps its lease until `SILENT_BEATS` of its heartbeats are missing. Both times that are
  compared were given by the file system: the lease's, and that of a file made just now. No two clocks are compared.
- To take over N is to make N + 1, which one process alone can do. It looks afterwards whether N is still what it
  judged, and whether nothing is higher; where not, it takes back its own.
- A holder that was suspended and was taken over meanwhile learns of it before it writes the next whole file.

What a run's program has started keeps the open file, locked where the file system has locks: on one machine the lease
stays with it.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from truelift.errors import InputError
from truelift.records.holder import Holder, heartbeat_seconds
from truelift.records.lease_files import last_of, numbers_of, take
from truelift.records.locks import InUseError, remove_temporary


class LeaseLostError(InputError):
    """Another process has taken over the folder, since this one gave no heartbeat for too long."""


class _Lease:
    """One that this process holds: its file, and the thread that renews its time, once it beats."""

    def __init__(self, path: Path, number: int, file: int) -> None:
        self.path = path
        self.number = number
        self.file = file
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self, seconds: float) -> None:
        """Renew its time every so many seconds, until it ends."""
        thread = threading.Thread(target=self._beat, args=[seconds], name="heartbeat", daemon=True)
        thread.start()
        self._thread = thread

    def is_there(self) -> bool:
        """Whether its file is still in its place."""
        try:
            return os.path.samestat(os.fstat(self.file), self.path.stat())
        except OSError:
            return False

    def end(self) -> None:
        """Let go."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        there = self.is_there()
        os.close(self.file)  # first: Windows removes no file that is open
        if there:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _beat(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            with contextlib.suppress(OSError):  # the next write says what is wrong
                os.utime(self.file if os.utime in os.supports_fd else self.path)


_held: dict[Path, _Lease] = {}
_named: dict[str, _Lease] = {}
"""The same by the names they were taken under: to resolve a name looks at every folder on its way."""


def _let_go() -> None:
    """In a forked process, such as one that decodes photographs: it may outlive the holder, and holds nothing."""
    for lease in _held.values():
        os.close(lease.file)
    _held.clear()
    _named.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def leased(folder: Path, *, wait_seconds: float = 0.0, briefly: bool = False) -> Iterator[None]:
    """Hold `folder`, made where it is missing, against other processes on this machine and on others.

    Temporary files that a killed holder left there are removed.

    Args:
        folder: What is to be held.
        wait_seconds: How long another process may hold it.
        briefly: For less than a heartbeat, so that none is given: a study of a thousand runs holds each once.

    Raises:
        InputError: It cannot be made, or this process holds it already.
        InUseError: Another process holds it.
    """
    key, name = _key(folder), _name_of(folder)
    if key in _held:
        raise InputError(f"{folder} is in use by this process already.")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            lease = _Lease(*take(folder))
            break
        except InUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    _held[key] = _named[name] = lease
    try:
        if not briefly:
            lease.beat(heartbeat_seconds())
        remove_temporary(folder)
        yield
    finally:
        if _held.get(key) is lease:  # else this is a forked process
            del _held[key]
            if _named.get(name) is lease:  # else the name leads elsewhere by now, to another folder that is held
                del _named[name]
            lease.end()


def check_held(folder: Path) -> bool:
    """Whether this process holds `folder`.

    Raises:
        LeaseLostError: It did, but another has taken over since.
        InputError: It did, but the folder was removed or replaced since.
    """
    lease = _lease_of(folder)
    if lease is None:
        return False
    higher = max(numbers_of(folder), default=0) > lease.number  # names alone, which no file is opened for
    if higher and (last := last_of(folder)) is not None and last.number > lease.number:
        by = "another process" if last.holder is None else last.holder.words()
        raise LeaseLostError(f"{folder} was taken over by {by}, since this process had stopped for too long.")
    if not lease.is_there():
        if folder.is_dir():  # who has taken it over has ended since
            raise LeaseLostError(f"{folder} was taken over, or removed and made again, while it was in use.")
        raise InputError(f"{folder} was removed while it was in use.")
    return True


def is_lost(folder: Path) -> bool:
    """Whether this process held `folder`, and another has taken it over: what still writes there is to end."""
    try:
        check_held(folder)
    except LeaseLostError:
        return True
    except (InputError, OSError):  # it was removed, or the disk does not answer and is asked again soon
        return False
    return False


def is_free(folder: Path) -> bool:
    """Whether no other process holds `folder` now, as this one finds by holding it for a moment.

    Raises:
        InputError: It cannot be held at all.
    """
    try:
        with leased(folder, briefly=True):
            return True
    except InUseError:
        return False


def lease_of(folder: Path) -> int | None:
    """The open file that holds the folder for this process, if it does: a child that has it holds the folder too."""
    lease = _lease_of(folder)
    return None if lease is None else lease.file


def holder_of(folder: Path) -> Holder | None:
    """Who holds a folder now, as far as can be told without writing: by this machine's clock where it is another's."""
    last = last_of(folder)
    return last.holder if last is not None and last.holds(time.time()) else None


def _lease_of(folder: Path) -> _Lease | None:
    """This process's lease of a folder, under whatever name.

    Where the name that it was taken under leads elsewhere by now, it is found all the same, and is not there.
    """
    if not _held:
        return None
    lease = _named.get(_name_of(folder))
    return _held.get(_key(folder)) if lease is None else lease


def _name_of(folder: Path) -> str:
    given = os.fspath(folder)
    return given if os.path.isabs(given) else os.path.join(os.getcwd(), given)


def _key(folder: Path) -> Path:
    return Path(os.path.realpath(folder))
