"""A process that has imported everything, and forks a study's runs.

    python -m truelift.studies.fork_server CHANNEL PARENT FOLDER ARGUMENT ...

Importing torch and what belongs to it takes seconds, a fork some milliseconds. A run stays a process of its own: it
leads a session of its own, its memory is given back, and nothing that happens in it reaches another. What a fork cannot
take along is not there yet: the server trains nothing, touches no GPU and has one thread alone, which it checks before
it says that it is ready. The libraries whose numbers of threads are settled as they are loaded find the same
environment here as in a worker that is started anew, so that a run's numbers are the same, bit for bit.

CHANNEL is an open socket to the study's process, PARENT that process's number. FOLDER and ARGUMENTs are that process's
too, for whoever lists processes: the runs have this command line. The server ends when the channel does, which the
study's end tells as well, once its runs have ended.
"""

import array
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from importlib import import_module
from typing import Any

from truelift import processes
from truelift.ending import QuickEnd
from truelift.garbage import uncollected

READY = b"r"

PRELOADED = (
    "truelift.training.run",
    "truelift.studies.worker",
    "filelock",
    "numpy.ma",
    "numpy.random",
    "PIL.ImageFile",
    "torch.utils.serialization",
)
"""What every run imports, sooner or later."""

LATE = ("torch._dynamo", "truelift.data.arrow_files", "truelift.data.parquet", "truelift.data.own_source")
"""What only some runs import: the server does when the study's own process has, as it put the variants together."""

WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""The server's environment beside the study's: pyarrow's allocator would start a thread as it is loaded, to give memory
back. A run's environment is the study's alone."""

HEADER_BYTES = 8
"""Of a request's length, before the request."""

_LAST_SECONDS = 15.0
"""How long runs may take to end when the study has ended: they see it by themselves."""

_STANDARD = (signal.SIGINT, signal.SIGTERM)


class _Server:
    """The runs that it has forked, and the way to the study."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._handlers = {number: signal.getsignal(number) for number in _STANDARD}
        # A scheduler may signal every process of a job. The runs are told by the study, and the server by its end.
        for number in _STANDARD:
            signal.signal(number, signal.SIG_IGN)
        self._statuses: dict[int, int] = {}  # by run's process number, where its status is told
        self._fit = True
        self._awake, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)

    def prepare(self, parent: int) -> bool:
        """Import everything; whether this process can be forked then."""
        processes.end_with_parent(parent)
        with uncollected():
            for name in PRELOADED:
                import_module(name)
            environment = import_module("truelift.training.environment")
            environment.code()
            environment.machine()
            with contextlib.suppress(Exception):  # no run needs it
                import_module("truelift.studies.rehearsal").rehearse()
        self._fit = _can_be_forked()
        processes.outlive_parent()
        return self._fit

    def serve(self) -> list[str] | None:
        """Fork runs until the study is gone; gives a run's arguments in its process, and none in the server."""
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        self._channel.sendall(READY)
        while self._asked(self._channel.fileno()):
            request = _receive(self._channel)
            if request is None:
                break
            self._import(request[0]["modules"])
            arguments = self._fork(*request)
            if arguments is not None:
                return arguments
        self._channel.close()
        deadline = time.monotonic() + _LAST_SECONDS
        while self._statuses and time.monotonic() < deadline:
            self._asked(None)
        return None

    def _import(self, modules: list[str]) -> None:
        """Import what the runs to come will need, where that is not here yet, and leaves one thread alone."""
        missing = [name for name in modules if name not in sys.modules]
        if missing and self._fit:
            with uncollected():
                for name in missing:
                    with contextlib.suppress(Exception):  # whatever it is, the run says so
                        import_module(name)
            self._fit = _can_be_forked()

    def _asked(self, channel: int | None) -> bool:
        """Whether the study asks for something, or is gone; meanwhile tells it which runs have ended."""
        while True:
            found, _, _ = select.select([self._awake, *([] if channel is None else [channel])], [], [], 1.0)
            if self._awake in found:
                os.read(self._awake, 4096)
            self._reap()
            if channel is None or channel in found:
                return channel is not None

    def _reap(self) -> None:
        for process in list(self._statuses):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                file = self._statuses.pop(process)
                _tell(file, os.waitstatus_to_exitcode(status))
                os.close(file)

    def _fork(self, request: dict[str, Any], files: list[int]) -> list[str] | None:
        """In the server nothing, in the run its arguments."""
        log, pipe, status = files
        server = os.getpid()
        # A signal that comes before the run handles it waits until it does.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STANDARD)
        try:
            process = os.fork() if self._fit else -1
        except OSError:  # too many processes, say
            process = -1
        if process == 0:
            self._become(request, log, pipe, [status, *self._statuses.values()], server)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            arguments: list[str] = request["arguments"]
            return arguments
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(log)
        os.close(pipe)
        if process == -1:  # the study starts a new interpreter, and says what comes of that
            os.close(status)
            with contextlib.suppress(OSError):
                self._channel.sendall(bytes(HEADER_BYTES))
            return None
        self._statuses[process] = status
        handle = os.pidfd_open(process)  # not yet reaped, so that it is this process
        with contextlib.suppress(OSError):  # the study is gone, as the next look at the channel says
            socket.send_fds(self._channel, [process.to_bytes(HEADER_BYTES, "big")], [handle])
        os.close(handle)
        return None

    def _become(self, request: dict[str, Any], log: int, pipe: int, others: list[int], server: int) -> None:
        """Make of this forked process what a worker that was started anew would be."""
        os.setsid()
        processes.end_with_parent(server)
        self._channel.close()
        signal.set_wakeup_fd(-1)
        for file, place in ((pipe, 0), (log, 1), (log, 2)):
            os.dup2(file, place)
        for file in (pipe, log, self._awake, self._wakes, *others):
            os.close(file)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(request["environment"])
        if request["folder"]:
            os.chdir(request["folder"])
        # Whoever draws numbers without a seed shall not draw the same ones in every run.
        import numpy as np

        np.random.seed()  # noqa: NPY002


def _can_be_forked() -> bool:
    """Whether a fork of this process finds one thread alone, and CUDA untouched.

    The threads of OpenBLAS end before a fork by themselves, and come back when there is something to compute: so one
    fork is made first, and the server computes nothing afterwards.
    """
    import torch

    process = os.fork()
    if process == 0:
        os._exit(bool(torch.cuda._is_in_bad_fork()))
    _, status = os.waitpid(process, 0)
    return status == 0 and len(os.listdir("/proc/self/task")) == 1


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A request and its three files, or none where the study is gone."""
    try:
        header, files, _, _ = socket.recv_fds(channel, HEADER_BYTES, 3)
        if len(header) < HEADER_BYTES or len(files) < 3:
            return None
        rest, chunks = int.from_bytes(header, "big"), []
        while rest:
            chunk = channel.recv(min(rest, 2**16))
            if not chunk:
                return None
            chunks.append(chunk)
            rest -= len(chunk)
    except OSError:
        return None
    return json.loads(b"".join(chunks)), files


def _tell(file: int, status: int) -> None:
    """Tell a run's status to the study, if it is still there."""
    with contextlib.suppress(OSError):
        os.write(file, array.array("i", [status]).tobytes())


def main(channel: int, parent: int) -> list[str] | None:
    """Serve; the arguments of a run in the process forked for it, none in the server at its end."""
    with socket.socket(fileno=channel) as opened:
        server = _Server(opened)
        return server.serve() if server.prepare(parent) else None


if __name__ == "__main__":
    end = QuickEnd()
    run = main(int(sys.argv[1]), int(sys.argv[2]))
    if run is None:
        os._exit(0)  # to take everything apart that was imported would take a second
    from truelift.studies import worker

    worker.begin(run, end)
