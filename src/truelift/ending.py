"""A quick end for a program that has imported much: its memory is left for the operating system to free.

All else happens as usual: threads are waited for, `atexit` functions are called, the standard output is flushed. Only
the interpreter does not free its objects one by one. With torch and its compiler imported that takes half a second of a
core, and in a forked process it copies every page that it touches.
"""

import atexit
import os
import sys
import weakref


class QuickEnd:
    """Make it when the program begins: `atexit` functions that are registered later are called before it acts.

    Attributes:
        status: The exit status. None, the initial value: the interpreter ends as usual, for instance with a traceback.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self._process = os.getpid()
        atexit.register(self._end)

    def here(self, status: int) -> int:
        """End this process quickly, with this status; returns it, for `sys.exit`."""
        self.status, self._process = status, os.getpid()
        _leave_registered()
        return status

    def _end(self) -> None:
        if self.status is None or self._process != os.getpid():  # in a child that somebody's code has forked
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # the interpreter will report it
            return
        os._exit(self.status)


def _leave_registered() -> None:
    """Skip torch's unregistering of its operators at the end, which takes 30 ms of a core."""
    # There is no public list of finalizers. Without this private one nothing is skipped.
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        found = finalizer.peek()
        if found is not None and found[1].__module__ == "torch.library":
            finalizer.atexit = False
