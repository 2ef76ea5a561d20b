"""The end of a program that has imported much: the system takes its memory back, module by module nobody has to.

What is done at a program's end otherwise is done as ever: threads are waited for, functions that were registered with
`atexit` are called, the standard output is written. Only the interpreter is not taken apart, object by object: with
torch and its compiler imported that is half a second of a core, and in a process that was forked it copies every page
that it touches.
"""

import atexit
import os
import sys
import weakref


class QuickEnd:
    """Made at a program's beginning: functions that are registered later are called before it ends the process.

    Attributes:
        status: The exit status; none, as it is at first: the interpreter ends in its own way, as after an exception.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self._process = os.getpid()
        atexit.register(self._end)

    def here(self, status: int) -> int:
        """The status with which this process shall end; gives it back, for `sys.exit`."""
        self.status, self._process = status, os.getpid()
        _leave_registered()
        return status

    def _end(self) -> None:
        if self.status is None or self._process != os.getpid():  # forked since by somebody's code
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # the interpreter says so
            return
        os._exit(self.status)


def _leave_registered() -> None:
    """Leave out torch's unregistering of its operators at the end, which takes 30 ms of a core."""
    # Python tells nobody what is to be finalized, but by this name; without it all is done as ever.
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        found = finalizer.peek()
        if found is not None and found[1].__module__ == "torch.library":
            finalizer.atexit = False
