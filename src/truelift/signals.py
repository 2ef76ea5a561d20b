"""Ctrl-C and SIGTERM: one line that says how to go on, and status 130 or 143.

Files are written whole and children end with their parent, so that a process may end anywhere. What a signal does
depends on where it comes:

- until a command begins, while torch is imported say, it ends the process at once: an exception in the middle of an
  import may become another, or abort the interpreter;
- within `unwinding`, `KeyboardInterrupt` or `PreemptedError` is raised;
- within `deferred`, SIGTERM is only noted: a training ends it between two steps, with a checkpoint;
- the second signal ends the process at once, wherever it comes.

Handlers are set by programs, the command line and the workers of studies, never by the import of the library. They are
set for process 1 of a container too, which has no default action for signals.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

INTERRUPTED, PREEMPTED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit statuses after Ctrl-C, and after SIGTERM."""


class PreemptedError(BaseException):
    """SIGTERM has come. As `KeyboardInterrupt`, it is no `Exception`, which others' code may take for a failure."""


class _State:
    """What has come so far, and what a signal does now."""

    def __init__(self) -> None:
        self.what_next = ""
        self.first: int | None = None
        self.told = False
        self.unwinds = False
        self.deferrals = 0


_state = _State()


def take_over(what_next: str) -> None:
    """Handle Ctrl-C and SIGTERM from now on. A signal that whoever started the process has it ignore stays ignored.

    Args:
        what_next: Ends the line that is printed, such as "To go on: " and a command; empty: no line is printed.
    """
    _state.what_next = what_next
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Within it a signal is an exception, so that what is open is closed."""
    _state.unwinds = True
    try:
        yield
    finally:
        _state.unwinds = False


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Within it SIGTERM is only noted, for `preempted` to ask; one that nobody asked for is raised at the end.

    Raises:
        PreemptedError: SIGTERM has come.
    """
    _state.deferrals += 1
    try:
        yield
    finally:
        _state.deferrals -= 1
    if preempted():
        raise PreemptedError


@contextlib.contextmanager
def not_deferred() -> Iterator[None]:
    """Within it, inside `deferred`, SIGTERM is raised again, one that has come already among them.

    Raises:
        PreemptedError: SIGTERM has come.
    """
    deferrals, _state.deferrals = _state.deferrals, 0
    try:
        if preempted():
            raise PreemptedError
        yield
    finally:
        _state.deferrals = deferrals


def preempted() -> bool:
    """Whether SIGTERM has come."""
    return _state.first == signal.SIGTERM


def preempt() -> None:
    """Act as if SIGTERM had come: another process of the same training has received it."""
    if _state.first is None:
        _state.first = signal.SIGTERM


def status() -> int | None:
    """The exit status after the signal that has come, or none where none has."""
    return None if _state.first is None else 128 + _state.first


def tell() -> None:
    """Print the line, once. Of several processes that train one network, the first does."""
    if _state.told or not _state.what_next or os.environ.get("RANK", "0") != "0":
        return
    _state.told = True
    by = " by SIGTERM" if preempted() else ""
    # Not by way of sys.stderr, in whose middle the signal may have come.
    with contextlib.suppress(OSError):
        os.write(2, f"truelift: stopped{by}. {_state.what_next}\n".encode(errors="backslashreplace"))


def end() -> None:
    """End the process with the line and the status of the signal that has come, whatever else it was doing."""
    tell()
    number = status()
    assert number is not None
    for stream in (sys.stdout, sys.stderr):
        # One that was being written when the signal came refuses to be flushed.
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(number)


def _handle(number: int, frame: FrameType | None) -> None:
    second = _state.first is not None
    if not second:
        _state.first = number
    if second or not _state.unwinds:
        if number == signal.SIGTERM and second and preempted():
            return  # a scheduler may say it twice, to the process and to its group
        end()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if not _state.deferrals:
        raise PreemptedError


def _in_child() -> None:
    """A forked process, one that decodes photographs say, has nothing to tell."""
    _state.what_next = ""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
