"""How a run's worker is started: forked from a server that has imported everything, or as a new interpreter.

Both are a process of its own in a session of its own, so that Ctrl-C at a terminal reaches the study alone, with an
output of its own and a pipe into which nothing is ever written: it ends when this process does, and the worker with it.
"""

import array
import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from truelift import processes
from truelift.studies.fork_server import HEADER_BYTES, LATE, READY, WITHOUT_THREADS

_END_SECONDS = 5.0
"""What a server has to end once its runs have, before it is killed."""


class Worker(Protocol):
    """A worker that was started."""

    pid: int

    def wait(self) -> int | None:
        """Its exit status once it has ended, −N for signal N; none where the server was killed, and it was too."""
        ...

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        ...


class Anew:
    """A worker in a new interpreter."""

    def __init__(self, arguments: Sequence[str], log: int, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "truelift.studies.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def wait(self) -> int:
        """Its exit status."""
        status = self._process.wait()
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.close()
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)


class Forked:
    """A worker that a server has forked."""

    def __init__(self, pid: int, handle: int, status: int, pipe: int) -> None:
        self.pid = pid
        self._handle = handle
        self._status = status
        self._pipe = pipe
        self._lock = threading.Lock()
        self._ended = False

    def wait(self) -> int | None:
        """Its exit status; none where the server was killed, and it was too."""
        told = os.read(self._status, 4)
        if len(told) < 4:
            self.send_signal(signal.SIGKILL)  # as the system has done already
            select.select([self._handle], [], [])
        with self._lock:
            self._ended = True
        for file in (self._handle, self._status, self._pipe):
            os.close(file)
        return array.array("i", told)[0] if len(told) == 4 else None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if not self._ended:
                signal.pidfd_send_signal(self._handle, number)


class ForkServer:
    """A server of this process's, with as many CPU threads a run as it was started for."""

    def __init__(self, threads: int) -> None:
        self.about = (threads, _here())
        ours, theirs = socket.socketpair()
        about = [_here(), *sys.argv[1:]]
        with theirs:
            number = str(theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-m", "truelift.studies.fork_server", number, str(os.getpid()), *about],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment_for(threads) | WITHOUT_THREADS,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._channel = ours
        self._ready: bool | None = None
        self._readiness, self._turn = threading.Lock(), threading.Lock()

    def is_ready(self) -> bool:
        """Whether runs can be forked from it; waits until it has imported everything, or has ended."""
        with self._readiness:
            if self._ready is None:
                try:
                    self._ready = self._channel.recv(1) == READY
                except OSError:
                    self._ready = False
            return self._ready

    def fork(self, arguments: Sequence[str], log: int, environment: Mapping[str, str]) -> Forked | None:
        """A worker; none where the server is gone, or cannot fork. The server must be ready."""
        about = {"arguments": list(arguments), "environment": dict(environment), "folder": _here()}
        request = about | {"modules": _of_some_runs()}
        content = json.dumps(request).encode()
        pipe, ours = os.pipe()
        status, theirs = os.pipe()
        try:
            with self._turn:
                header = len(content).to_bytes(HEADER_BYTES, "big")
                socket.send_fds(self._channel, [header], [log, pipe, theirs])
                self._channel.sendall(content)
                told, handles, _, _ = socket.recv_fds(self._channel, HEADER_BYTES, 1)
        except OSError:
            told, handles = b"", []
        os.close(pipe)
        os.close(theirs)
        if not handles:
            os.close(status)
            os.close(ours)
            return None
        return Forked(int.from_bytes(told, "big"), handles[0], status, ours)

    def stop_waiting(self) -> None:
        """Nobody waits for it any longer where it is not ready yet."""
        if self._ready is None:
            self._process.kill()

    def let_go(self) -> None:
        """Have it end by itself; nobody waits for that, since to give its memory back takes the system a while."""
        self._channel.close()
        threading.Thread(target=self.close, daemon=True).start()

    def close(self) -> None:
        """End it; its runs have ended, or are given a while to."""
        atexit.unregister(self.close)
        self.stop_waiting()
        self._channel.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start(server: ForkServer | None, arguments: Sequence[str], log: int, environment: Mapping[str, str]) -> Worker:
    """A worker, forked from a server that is ready, or from none where there is none, or it is gone.

    Args:
        server: Ready, or none.
        arguments: Of `worker.begin`.
        log: An open file for what the worker prints.
        environment: Its environment.
    """
    forked = None if server is None else server.fork(arguments, log, environment)
    return Anew(arguments, log, environment) if forked is None else forked


def can_fork() -> bool:
    """Whether runs are forked from a server on this system."""
    return processes.LINUX and hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")


def environment_for(threads: int) -> dict[str, str]:
    """This process's environment with so many CPU threads."""
    return {
        "TRUELIFT_EXECUTOR": "local",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


def _of_some_runs() -> list[str]:
    """What the server is to import besides: as this process had to; one that put nothing together cannot tell."""
    return [name for name in LATE if name in sys.modules] if "torch" in sys.modules else ["torch._dynamo"]


def _here() -> str:
    """The working folder; empty where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


_begun: list[ForkServer] = []


def begin(threads: int) -> None:
    """Start a server for the study to come, so that it imports what it needs while this process does the same."""
    if not can_fork():
        return
    with contextlib.suppress(OSError):  # the study says so, if it cannot start anything either
        keep(ForkServer(threads))


def keep(server: ForkServer) -> None:
    """Keep a server for the next study, or the next run, of this process; it ends with the process at the latest."""
    atexit.unregister(server.close)  # where it was kept before
    atexit.register(server.close)
    _begun.append(server)


def server_for(threads: int) -> ForkServer | None:
    """The server that was begun where it fits, or a new one; none where the system has no such thing."""
    while _begun:
        server = _begun.pop()
        if server.about == (threads, _here()):
            return server
        server.close()
    return ForkServer(threads) if can_fork() else None
