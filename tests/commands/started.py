"""The tests' side of the server of commands: a command that runs, much as `subprocess.Popen` shows it."""

import atexit
import contextlib
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.commands.server import Request

ROOT = Path(__file__).parents[2]
PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
FORKS = sys.platform.startswith("linux") and hasattr(os, "pidfd_open")
"""Whether commands are forked; elsewhere each is a new interpreter."""


class Command:
    """`truelift ARGUMENTS`, or a script in its place, in a process of its own, the leader of a session.

    Attributes:
        pid: Its process.
        returncode: Its exit status, −N for signal N; none while it runs, as far as was looked.
        stdout: What it prints, where that is a pipe.
        stderr: Its error stream, where that is a pipe.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdout: int = PIPE,
        stderr: int = PIPE,
        script: Path | None = None,
    ) -> None:
        self.args = [str(script or "truelift"), *map(str, arguments)]
        self.returncode: int | None = None
        self.stdout, out = _output(stdout)
        self.stderr, err = _output(stderr)
        asked = Request(
            script=None if script is None else str(script),
            arguments=self.args[1:],
            environment=dict(os.environ if env is None else env),
            folder=str(cwd),
        )
        self._process = None if FORKS else _new_interpreter(asked, out, err)
        if self._process is None:
            self._status, status = os.pipe()
            nothing = os.open(os.devnull, os.O_RDONLY)
            self.pid = _server().ask(asked, [nothing, out, err, status])
            os.close(nothing)
            os.close(status)
        else:
            self.pid = self._process.pid
        os.close(out)
        os.close(err)

    def poll(self) -> int | None:
        """Its exit status, if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: It runs on after so many seconds.
        """
        status = self._ended(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has printed on the streams that are pipes, once it has ended.

        Raises:
            subprocess.TimeoutExpired: As `wait`.
        """
        texts = ["", ""]

        def read(place: int, stream: IO[str]) -> None:
            with stream:
                texts[place] = stream.read()

        streams = [(place, stream) for place, stream in enumerate((self.stdout, self.stderr)) if stream is not None]
        readers = [threading.Thread(target=read, args=one, daemon=True) for one in streams]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():  # what the command has started holds the stream
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.returncode = self._process.wait(timeout)
        elif self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(os.read(self._status, 16))
            os.close(self._status)
        return self.returncode


def begin(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdout: int = DEVNULL,
    stderr: int = DEVNULL,
    script: Path | None = None,
) -> Command:
    """A command that runs, or a script; its output is thrown away unless it is asked for."""
    return Command(arguments, cwd=cwd, env=env, stdout=stdout, stderr=stderr, script=script)


def run(
    arguments: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 250
) -> subprocess.CompletedProcess[str]:
    """A command's status and what it printed, once it has ended.

    Raises:
        subprocess.TimeoutExpired: It ran longer, and was killed.
    """
    command = Command(arguments, cwd=cwd, env=env)
    try:
        out, err = command.communicate(timeout)
    except BaseException:
        command.kill()
        raise
    return subprocess.CompletedProcess(command.args, command.wait(), out, err)


def begin_call(
    work: Callable[..., object],
    arguments: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int = DEVNULL,
    stderr: int = DEVNULL,
) -> Command:
    """A process that does `work(*arguments)`, a function of a module, found where this process finds it."""
    handle, file = tempfile.mkstemp()
    with open(handle, "wb") as content:
        content.write(pickle.dumps([sys.path, pickle.dumps((work, arguments))]))
    script = Path(__file__).with_name("called.py")
    return Command([file], cwd=Path.cwd(), env=env, stdout=stdout, stderr=stderr, script=script)


def in_processes(
    work: Callable[..., object], arguments: Sequence[object], processes: int, timeout: float = 120
) -> None:
    """Have each of so many processes do `work(rank, *arguments)`, as `torch.multiprocessing.spawn` does.

    Raises:
        AssertionError: One of them has failed, with its error stream.
        subprocess.TimeoutExpired: One ran longer; all were killed.
    """
    begun = [begin_call(work, (rank, *arguments), stderr=PIPE) for rank in range(processes)]
    try:
        told = [command.communicate(timeout)[1] for command in begun]
    finally:
        for command in begun:
            command.kill()
    assert [command.returncode for command in begun] == [0] * processes, "\n".join(told)


def _new_interpreter(asked: Request, out: int, err: int) -> "subprocess.Popen[bytes]":
    of = ["-m", "truelift"] if asked["script"] is None else [asked["script"]]
    return subprocess.Popen(
        [sys.executable, *of, *asked["arguments"]],
        cwd=asked["folder"],
        env=asked["environment"],
        stdin=DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )


class _Server:
    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        # pyarrow's allocator would start a thread as it is loaded, which a fork does not take along.
        environment = {"OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.commands.server", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | environment,
                pass_fds=[theirs.fileno()],
                stdin=DEVNULL,
                start_new_session=True,
            )
        self._turn = threading.Lock()
        atexit.register(self.close)

    def ask(self, request: Request, files: list[int]) -> int:
        """The process that was forked for a command."""
        with self._turn:
            socket.send_fds(self._channel, [json.dumps(request).encode()], files)
            told = self._channel.recv(32)
        assert told, "the server of commands has ended"
        return int(told)

    def close(self) -> None:
        self._channel.close()
        self._process.wait(30)


_servers: list[_Server] = []


def _server() -> _Server:
    if not _servers:
        _servers.append(_Server())
    return _servers[0]


def _output(asked: int) -> tuple[IO[str] | None, int]:
    """What the tests read, and what the command writes to."""
    if asked == PIPE:
        read, write = os.pipe()
        return open(read, encoding="utf-8", errors="surrogateescape"), write
    return None, os.open(os.devnull, os.O_WRONLY) if asked == DEVNULL else os.dup(asked)
