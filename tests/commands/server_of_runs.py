"""A study's server of runs in a command that was forked itself: forked too, since what it imports is there already.

`ahead.begin` starts it before the study does anything else, so that there is one thread and nothing of the study yet. A
server that a study starts later is a new interpreter. Both are tried against each other in
tests/unit/studies/test_fork_server.py, where none of this is used.
"""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

MODULE = "truelift.studies.fork_server"


class Child:
    """A process that was forked, as far as `ForkServer` looks at it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: It runs on after so many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(MODULE, timeout or 0.0)
            else:
                time.sleep(0.01)
        return self.returncode

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def fork_it_too() -> None:
    """Have the next server of runs of this process be forked, if it is started while there is one thread."""
    from truelift.studies import start

    def popen(arguments: Sequence[str], **options: Any) -> "subprocess.Popen[bytes] | Child":
        if MODULE not in arguments or len(os.listdir("/proc/self/task")) > 1:
            return subprocess.Popen(arguments, **options)
        process = os.fork()
        if process == 0:
            _become(arguments[arguments.index(MODULE) + 1 :], options["env"], options["pass_fds"])
        return Child(process)

    vars(start)["subprocess"] = SimpleNamespace(**{**vars(subprocess), "Popen": popen})


def _become(arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[int]) -> None:
    """Be the server, or a run that it has forked, in this process; never comes back."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, 2):
        os.dup2(nothing, place)
    for file in map(int, os.listdir("/proc/self/fd")):
        if file > 2 and file not in files:
            try:
                os.close(file)
            except OSError:  # that of the listing itself
                continue
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    status = 1
    try:
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    # What an interpreter does at its end: threads and pools are waited for, `truelift.ending` is called. The one public
    # way there leads back to the main module, through the study in whose midst this fork is: it would clean up.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)
