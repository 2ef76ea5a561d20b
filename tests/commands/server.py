"""A process that has imported everything, and forks commands: `python -m tests.commands.server CHANNEL`.

Importing torch and what belongs to it takes some three seconds of a core, and the tests start some two hundred
commands. A command that is forked leads a session of its own and finds the arguments, the environment, the folder, the
files and the handlers of signals that a new interpreter would find; `python -m truelift` is run in it as it would be
there, or a script. Only its imports are there already, and its command line in /proc is this server's: what is tested
of these takes a new interpreter.

CHANNEL is an open socket. A request is the JSON of a `Request`, with four files: standard input, output, error stream,
and a pipe for the exit status. The answer is the command's process number. The server ends when the channel does,
and kills the process groups of the commands that run then: those of tests that failed before they had ended them.
"""

import contextlib
import gc
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TypedDict

from tests.commands.server_of_runs import fork_it_too

MOST_BYTES = 1 << 17
"""Of a request."""
FILES = 4

PRELOADED = (
    *("truelift.training.run", "truelift.studies.worker", "torch._dynamo", "torch.utils.serialization"),
    *("truelift.report.page", "truelift.report.figures", "truelift.report.write", "truelift.judging.studied"),
    *("sklearn.datasets", "scipy.special", "scipy.optimize", "filelock", "numpy.ma", "PIL.ImageFile"),
)
"""What commands import, beside the modules of truelift.cli."""


class Request(TypedDict):
    """What shall be run, and where."""

    script: str | None
    """In place of truelift."""
    arguments: list[str]
    environment: dict[str, str]
    folder: str


def serve(channel: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork commands until nobody asks any more; in a command's process, what it shall be."""
    import truelift.cli

    for module in pkgutil.iter_modules(truelift.cli.__path__):
        import_module(f"truelift.cli.{module.name}")
    for name in PRELOADED:
        import_module(name)
    if os.fork() == 0:  # the threads of OpenBLAS end before a fork, and do not come back while nothing is computed
        os._exit(0)
    os.wait()
    assert len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, signal.SIG_IGN)  # the tests end it by closing the channel
    commands: dict[int, tuple[int, int]] = {}  # by a handle: the process, and the file for its status
    while True:
        ready, _, _ = select.select([channel.fileno(), *commands], [], [])
        for handle in set(ready) - {channel.fileno()}:
            process, status = commands.pop(handle)
            ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            with contextlib.suppress(BrokenPipeError):  # the tests' process is gone, as the channel's end says
                os.write(status, b"%d" % ended)
            os.close(status)
            os.close(handle)
        if channel.fileno() in ready:
            try:
                content, files, _, _ = socket.recv_fds(channel, MOST_BYTES, FILES)
            except ConnectionError:  # closed with an answer unread
                content = b""
            if not content:
                kill(process for process, _ in commands.values())
                return None
            signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
            process = os.fork()
            if process == 0:
                os.setsid()
                channel.close()
                for file in [files.pop(), *commands, *(status for _, status in commands.values())]:
                    os.close(file)
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
                return json.loads(content), files
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
            commands[os.pidfd_open(process)] = (process, files.pop())
            for file in files:
                os.close(file)
            with contextlib.suppress(ConnectionError):  # as the next look at the channel says
                channel.send(b"%d" % process)


def kill(processes: Iterable[int]) -> None:
    """Kill children of this process that nobody has waited for, with their groups, and wait for them."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it leads no group yet
            os.killpg(process, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def become(request: Request, files: list[int]) -> None:
    """Run the command in this process, which was forked for it."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = _writer(1, "strict")
    sys.stderr = _writer(2, "backslashreplace")
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    sys.argv[1:] = request["arguments"]
    import numpy as np

    np.random.seed()  # noqa: NPY002 - whoever draws without a seed shall not draw the same in every command
    if request["script"] is None:
        fork_it_too()
        runpy.run_module("truelift", run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = request["script"]
        sys.path[0] = os.path.dirname(sys.argv[0])
        runpy.run_path(sys.argv[0], run_name="__main__")


def _writer(file: int, errors: str) -> io.TextIOWrapper:
    lines = errors != "strict" or os.isatty(file)
    return io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(file, "w", closefd=False)), encoding="utf-8", errors=errors, line_buffering=lines
    )


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as opened:
        asked = serve(opened)
    if asked is None:
        os._exit(0)
    become(*asked)
