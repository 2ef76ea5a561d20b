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
import errno
import json
import os
import re
import secrets
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from truelift import processes
from truelift.errors import InputError, one_line
from truelift.records.locks import InUseError, make_folder, remove_temporary, try_lock

HEARTBEAT = 15.0
"""Seconds between two, unless the environment variable TRUELIFT_HEARTBEAT says otherwise."""
SILENT_BEATS = 8
"""A lease of another machine is taken over after so many missing heartbeats."""
LONGEST_HEARTBEAT = 3600.0

_MAKING_SECONDS = 5.0
"""What a lease may take to have its content, where it cannot be made whole."""

_NAME = re.compile(r"\.lease-([1-9][0-9]{0,17})")
_MOST_BYTES = 4096
# Of file systems that have no second name for a file: the lease is made under its name at once then.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL)


class LeaseLostError(InputError):
    """Another process has taken over the folder, since this one gave no heartbeat for too long."""


@dataclass(frozen=True)
class Holder:
    """Who holds a folder, as the lease tells it."""

    host: str
    process: int
    executor: str
    """What started it: local, slurm, ray, work, or train for a training by itself."""
    job: str
    """Of the scheduler; empty where there is none."""
    since: str
    """ISO 8601, by the holder's clock."""
    heartbeat: float
    """Seconds between two."""
    system: str
    """Of machine and its process numbers: what these mean there."""
    began: str
    """When the process began, as the system counts: a number may be given again."""
    token: str
    """Of this lease alone."""

    @property
    def is_here(self) -> bool:
        """Whether its process number is one of this machine's."""
        return (self.host, self.system) == (socket.gethostname(), _system())

    def words(self) -> str:
        """For a sentence."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.process} on {self.host}{job}, since {self.since}"


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
            return is_process(self.holder.process, self.holder.began) or _is_locked(self.path)
        silence = _MAKING_SECONDS if self.holder is None else SILENT_BEATS * self.holder.heartbeat
        return now - self.modified <= silence


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
    _began.cache_clear()  # the number of a process may be given again


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
            lease = _take(folder)
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
    higher = max(_numbers(folder), default=0) > lease.number  # names alone, which no file is opened for
    if higher and (last := _last(folder)) is not None and last.number > lease.number:
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
    last = _last(folder)
    return last.holder if last is not None and last.holds(time.time()) else None


def heartbeat_seconds() -> float:
    """Seconds between two heartbeats.

    Raises:
        InputError: TRUELIFT_HEARTBEAT is no number above 0 and at most an hour.
    """
    text = os.environ.get("TRUELIFT_HEARTBEAT", "")
    try:
        seconds = float(text) if text else HEARTBEAT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_HEARTBEAT:
        raise InputError(f"TRUELIFT_HEARTBEAT must be seconds, above 0 and at most 3,600, got {text}.")
    return seconds


def is_process(number: int, began: str) -> bool:
    """Whether the process of this machine that began then still runs."""
    return processes.is_running(number) and (not began or processes.beginning(number) == began)


def _take(folder: Path) -> _Lease:
    """A lease of this process's.

    Raises:
        InUseError: Another process has one.
        InputError: The folder or the file cannot be made.
    """
    heartbeat = heartbeat_seconds()
    token = secrets.token_hex(4)
    content = json.dumps(_about_this_process(token, heartbeat)).encode()
    new = folder / f".lease.{token}.partial"
    try:
        while True:
            make_folder(folder)
            try:
                now = _written(new, content)
                last = _last(folder)
                if last is not None and last.holds(now):
                    raise InUseError(_in_use(folder, last))
                number = 1 if last is None else last.number + 1
                path = folder / f".lease-{number}"
                if _is_made(new, path, content):
                    if _is_rightful(folder, number, last):
                        file = os.open(path, os.O_RDWR)
                        with contextlib.suppress(OSError):  # no locks: descendants of a killed holder are not seen
                            try_lock(file)
                        return _Lease(path, number, file)
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


def _numbers(folder: Path) -> list[int]:
    """Of the leases that are there, as their names have them."""
    try:
        return [int(match[1]) for name in os.listdir(folder) if (match := _NAME.fullmatch(name))]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _all(folder: Path, *, but: int = 0) -> list[Found]:
    there = (_read(folder / f".lease-{number}", number) for number in _numbers(folder) if number != but)
    return [found for found in there if found is not None]


def _last(folder: Path) -> Found | None:
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
        return Found(path, number, os.fstat(file).st_mtime, _holder(content))
    finally:
        os.close(file)


def _holder(content: bytes) -> Holder | None:
    try:
        told: dict[str, Any] = json.loads(content)
        texts = {name: str(told[name]) for name in ("host", "executor", "job", "since", "system", "began", "token")}
        heartbeat = min(max(float(told["heartbeat"]), 0.001), LONGEST_HEARTBEAT)
        process = int(told["process"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if process < 1:  # no number of a process
        return None
    return Holder(**texts, process=process, heartbeat=heartbeat)


def _about_this_process(token: str, heartbeat: float) -> dict[str, Any]:
    from truelift.records.files import now

    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "executor": os.environ.get("TRUELIFT_EXECUTOR", "train"),
        "job": _job(),
        "since": now(),
        "heartbeat": heartbeat,
        "system": _system(),
        "began": _began(os.getpid()),
        "token": token,
    }


@cache
def _began(this_process: int) -> str:
    return processes.beginning(this_process)


def _job() -> str:
    """The number of the scheduler's job that this process belongs to; empty where there is none."""
    if os.environ.get("TRUELIFT_JOB"):  # as an executor has set it
        return os.environ["TRUELIFT_JOB"]
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


@cache
def _system() -> str:
    """What makes a process number one process: the machine since it started, and the numbers' space."""
    with contextlib.suppress(OSError):  # no Linux, or one without /proc
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    return f"{uuid.getnode():x}"


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
