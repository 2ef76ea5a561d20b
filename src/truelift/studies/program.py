"""A user's program under supervision: whatever it starts ends with it, with the worker, and with the study."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from truelift import processes, signals
from truelift.errors import InputError, one_line
from truelift.studies.program_log import BoundedLog

GRACE_SECONDS = 5.0
"""What a program has to end after SIGTERM, before it is killed."""

_REST_SECONDS = 1.0  # for what a program leaves running when it ends
_OWN_SIGNAL_SECONDS = 1.0


@dataclass(frozen=True)
class Used:
    """What a program took."""

    wall_seconds: float
    peak_bytes: int
    """Memory of all its processes together, looked at every second at least; 0 where the system does not tell."""


def run_program(
    command: Sequence[str],
    folder: Path,
    *,
    study: int | None,
    lease: int | None,
    lost: Callable[[], bool],
    timeout: float | None,
) -> Used:
    """Run a user's program to its end, and end what it has left running.

    It has a process group of its own, and no terminal. It is killed when the study ends; after SIGTERM it has
    `GRACE_SECONDS`, and likewise when its time is over. What it prints goes to log.txt, whose size is bounded.

    Args:
        command: The program and its arguments.
        folder: The run's.
        study: Reading end of a pipe whose other end the study's process holds, if there is one.
        lease: The file that holds the run's folder: it stays held while anything of the program runs.
        lost: Whether another process has taken over the folder; the program is killed then.
        timeout: Seconds that it may take; None: as long as it wants.

    Raises:
        InputError: It cannot be started, takes longer than `timeout`, or ends with a status other than 0.
        PreemptedError: SIGTERM has come, and the program has ended.
    """
    processes.adopt_orphans()
    parent = os.getpid()
    others = frozenset(processes.descendants(parent))
    mark = f"{parent} {os.path.realpath(folder)}"
    with contextlib.ExitStack() as stack:
        awake = stack.enter_context(_awake_when_a_child_ends())
        stack.enter_context(signals.deferred())
        held = () if lease is None else (os.dup(lease),)  # the lease itself is closed in whatever is forked
        for file in held:
            stack.callback(os.close, file)
        sys.stdout.flush()  # what was said before stands before what the program prints
        reading, writing = os.pipe()
        began = time.monotonic()
        try:
            program = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env={**os.environ, processes.MARK: mark},
                process_group=0,
                pass_fds=held,
                preexec_fn=lambda: processes.end_with_parent(parent),
            )
        except OSError as error:
            os.close(reading)
            raise InputError(f"the command cannot be started: {one_line(error)}") from None
        finally:
            os.close(writing)
        log = BoundedLog(reading, folder / "log.txt")
        watch = _Watch(None if timeout is None else began + timeout, others)
        try:
            status = _wait(program, study, awake, others, lost, watch)
        finally:
            _end_the_rest(program, others)
            log.finish()
    if watch.too_long and not signals.preempted():
        raise InputError(f"the command took longer than timeout, {timeout:g} s; log.txt has what it printed")
    if status:
        raise InputError(f"the command ended with status {status}; log.txt has what it printed")
    return Used(time.monotonic() - began, watch.peak_bytes)


class _Watch:
    """Looks at a program's memory and time.

    Args:
        deadline: When its time is over, by the monotonic clock.
        others: Processes that are not the program's.
    """

    def __init__(self, deadline: float | None, others: frozenset[int]) -> None:
        self.deadline = deadline
        self.peak_bytes = 0
        self.too_long = False
        self._others = others
        self._due, self._pause = 0.0, 0.02

    def look(self) -> None:
        """Look at the memory if it is time to: soon after the start, later once a second."""
        now = time.monotonic()
        if now >= self._due:
            started = set(processes.listed_below(os.getpid())) - self._others
            self.peak_bytes = max(self.peak_bytes, sum(map(processes.resident_bytes_of, started)))
            self._pause = min(1.0, 2 * self._pause)
            self._due = now + self._pause
        self.too_long |= self.deadline is not None and now > self.deadline

    @property
    def seconds(self) -> float:
        """Until the next look."""
        left = 1.0 if self.deadline is None else max(0.01, self.deadline - time.monotonic())
        return min(self._pause, left)


def _wait(
    program: "subprocess.Popen[bytes]",
    study: int | None,
    awake: int,
    others: frozenset[int],
    lost: Callable[[], bool],
    watch: _Watch,
) -> int:
    """The program's status; after SIGTERM, or when its time is over, it is asked to end, and has a while for it."""
    readable = [awake] if study is None else [awake, study]
    deadline: float | None = None
    while (status := program.poll()) is None:
        watch.look()
        if (signals.preempted() or watch.too_long) and deadline is None:
            deadline = time.monotonic() + GRACE_SECONDS
            _ask(program, others)
        if (deadline is not None and time.monotonic() > deadline) or lost():
            break
        found, _, _ = select.select(readable, [], [], watch.seconds if deadline is None else 0.05)
        if awake in found:
            os.read(awake, 4096)
        if study in found:  # its end: nothing is ever written
            processes.send_group(signal.SIGKILL, program.pid)
            _end_the_rest(program, others)
            os._exit(1)
    if status in (-signal.SIGTERM, signals.PREEMPTED):
        # A scheduler sends SIGTERM to all processes of a job, one after the other: ours may come second.
        _until(signals.preempted, _OWN_SIGNAL_SECONDS)
    return 0 if status is None else status


def _end_the_rest(program: "subprocess.Popen[bytes]", others: frozenset[int]) -> None:
    """Ask what the program has left running to end, and kill what does not; a program in its place is killed too."""
    seen: set[int] = set()

    def left() -> list[int]:
        found = _started(others)
        seen.update(found)
        return found

    if program.poll() is not None and left():
        _ask(program, others)
        _until(lambda: not left(), _REST_SECONDS)
    processes.send_group(signal.SIGKILL, program.pid)
    processes.kill_all(left)
    program.wait()
    for process in seen - {program.pid}:
        with contextlib.suppress(ChildProcessError):  # another's, which reaps it
            os.waitpid(process, os.WNOHANG)


def _ask(program: "subprocess.Popen[bytes]", others: frozenset[int]) -> None:
    """Send SIGTERM to the program's group, and to what has left the group."""
    processes.send_group(signal.SIGTERM, program.pid)
    processes.send(signal.SIGTERM, [p for p in _started(others) if _group(p) != program.pid])


def _started(others: frozenset[int]) -> list[int]:
    """What descends from this process, but for the others that it had before."""
    return [process for process in processes.descendants(os.getpid()) if process not in others]


def _group(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except OSError:
        return None


def _until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)


@contextlib.contextmanager
def _awake_when_a_child_ends() -> Iterator[int]:
    """A pipe that can be read whenever a signal has come, one for the end of a child among them."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    wakes = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, before)
        os.close(reading)
        os.close(writing)
