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
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.commands.server import Request

ROOT = Path(__file__).parents[2]
PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
FORKS = sys.platform.startswith("linux") and hasattr(os, "pidfd_open")
"""Whether commands are forked; elsewhere each is a new interpreter."""
_LAST_WORDS_SECONDS = 3.0
"""What commands have to say why they failed, when one that they work with has."""


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
        reading = _Reading(self)
        self.wait(timeout)
        if not reading.ends(timeout):  # what the command has started holds the stream
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return reading.texts()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def end_group(self) -> None:
        """Kill it with the processes of its group, unless it has ended, and wait until it has."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.kill()
            self.wait()

    def _ended(self, timeout: float | None) -> int | None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.returncode = self._process.wait(timeout)
        elif self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(os.read(self._status, 16))
            os.close(self._status)
        return self.returncode


class _Reading:
    """What a command prints on the streams that are pipes, read as it comes, so that it never waits for a reader."""

    def __init__(self, command: Command) -> None:
        self._lines: tuple[list[str], list[str]] = ([], [])
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in zip((command.stdout, command.stderr), self._lines, strict=True)
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def ends(self, timeout: float | None) -> bool:
        """Whether the streams have ended within so many seconds each."""
        for reader in self._readers:
            reader.join(timeout)
        return not any(reader.is_alive() for reader in self._readers)

    def texts(self) -> tuple[str, str]:
        """The output and the error stream so far."""
        out, err = ("".join(lines) for lines in self._lines)
        return out, err

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                lines.append(line)


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
        AssertionError: As `all_done`.
    """
    all_done([begin_call(work, (rank, *arguments), stderr=PIPE) for rank in range(processes)], timeout)


def all_done(commands: Sequence[Command], timeout: float = 150, *, status: int = 0) -> list[tuple[str, str]]:
    """What each of some commands has printed on the streams that are pipes, once all have ended with this status.

    They may wait for each other: the first that ends with another status ends the rest, which have a moment to tell
    what they know.

    Raises:
        AssertionError: One has ended with another status, or ran longer, with all exit statuses and error streams; none
            runs on.
    """
    readings = [_Reading(command) for command in commands]
    deadline, failed = time.monotonic() + timeout, False
    try:
        while None in (found := [command.poll() for command in commands]) and time.monotonic() < deadline:
            if not failed and any(one not in (None, status) for one in found):
                deadline, failed = min(deadline, time.monotonic() + _LAST_WORDS_SECONDS), True
            time.sleep(0.01)
    finally:
        for command in commands:
            command.end_group()
    whole = [reading.ends(_LAST_WORDS_SECONDS) for reading in readings]
    told = [reading.texts() for reading in readings]
    assert found == [status] * len(commands), "\n".join(
        f"command {place}: {'ran on and was killed' if one is None else f'status {one}'}\n{err}"
        for place, (one, (_, err)) in enumerate(zip(found, told, strict=True))
    )
    assert all(whole), "what the commands have started runs on and holds their streams"
    return told


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
