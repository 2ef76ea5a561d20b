"""Runs in parallel processes on this machine, with its cores shared out."""

import contextlib
import signal
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from truelift import processes, signals
from truelift.errors import InputError, one_line
from truelift.records import read_config_file
from truelift.studies.start import ForkServer, Worker, environment_for, server_for, start
from truelift.studies.worker import write_failure

STOP_SECONDS, PREEMPTED_STOP_SECONDS = 8.0, 30.0
"""What workers have to end after Ctrl-C and after SIGTERM, before they are killed. A training ends at its next step."""


class _Workers:
    """The workers that run."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._running: set[Worker] = set()
        self._lock, self._beginning = Lock(), Lock()
        self._server: ForkServer | None = None
        self.stopped = False

    def run(self, folder: Path, options: Sequence[str], gpu: str | None) -> int | None:
        """A worker's status; none where it was not started, since all shall stop.

        Raises:
            InputError: The log cannot be written.
        """
        log = folder / "log.txt"
        try:
            file = log.open("a")
        except OSError as error:
            raise InputError(f"{log.parent} cannot be written to: {one_line(error)}.") from None
        environment = environment_for(self._threads)
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with file:
            server = None if _is_program(folder) else self._ready_server()
            status = self._made(server, [str(folder), *options], file.fileno(), environment)
            if status is None and server is not None:  # it was killed, and the run with it: it goes on
                status = self._made(None, [str(folder), *options], file.fileno(), environment)
        return status

    def _made(
        self, server: ForkServer | None, arguments: Sequence[str], log: int, environment: Mapping[str, str]
    ) -> int | None:
        """The status of a worker that has run to its end; none where there is none to tell."""
        with self._lock:
            if self.stopped:
                return None
            worker = start(server, arguments, log, environment)
            self._running.add(worker)
        status = worker.wait()
        with self._lock:
            self._running.discard(worker)
        if status is None or status < 0:  # what it has started could not end with it
            processes.kill_all(lambda: processes.left_by(worker.pid))
        return status

    def _ready_server(self) -> ForkServer | None:
        """The server, started by the first run that can be forked from it; none where that cannot be."""
        with self._beginning:
            if self._server is None and not self.stopped:
                self._server = server_for(self._threads)
            server = self._server
        return server if server is not None and server.is_ready() else None

    def stop(self, seconds: float) -> None:
        """Have all workers end; those that have not after so many seconds are killed. No other is started."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        with self._beginning:
            if self._server is not None:
                self._server.stop_waiting()
        for worker in running:
            worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in running:
            worker.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """End the server; all workers have ended."""
        if self._server is not None:
            self._server.close()


def _is_program(folder: Path) -> bool:
    """Whether a run is a program of the user's: its worker needs no torch."""
    try:
        return "command" in read_config_file(folder)
    except InputError:  # the worker says so
        return False


def run_local(
    folders: Iterable[Path],
    *,
    jobs: int,
    threads: int,
    gpus: Sequence[str],
    checkpoint_seconds: float,
    metric: str | None = None,
    begun: Callable[[Path], None] = lambda folder: None,
) -> Generator[Path]:
    """Run every folder's config.toml in a process of its own.

    After Ctrl-C, SIGTERM or another exception here, the workers end before it goes on its way.

    Args:
        folders: Each with a config.toml when its turn comes. The next is asked for when a process is free, and all that
            have ended were yielded: so it may depend on them.
        jobs: Processes at a time, at least 1.
        threads: CPU threads of each, at least 1.
        gpus: Those that the processes share out among them, each seeing one of them alone; none: nothing is said.
        checkpoint_seconds: Time between a run's checkpoints, at least 0.
        metric: The one that a program of the user's must give.
        begun: Told of each folder when its run begins, by a thread of its own.

    Yields:
        Each folder as soon as its run has ended, with result.json or failure.json in it, or neither where it was
        interrupted.
    """
    # One for each process at a time, so that no GPU has two runs while another has none.
    free: SimpleQueue[str | None] = SimpleQueue()
    for job in range(jobs):
        free.put(gpus[job % len(gpus)] if gpus else None)
    workers = _Workers(threads)
    with contextlib.closing(workers), ThreadPoolExecutor(jobs) as pool:
        try:
            options = [str(checkpoint_seconds)] if metric is None else [str(checkpoint_seconds), metric]
            running: dict[Future[None], Path] = {}
            following = iter(folders)
            while True:
                while len(running) < jobs and (folder := next(following, None)) is not None:
                    running[pool.submit(_run, workers, folder, free, options, begun)] = folder
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    folder = running.pop(done)
                    done.result()
                    yield folder
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            workers.stop(PREEMPTED_STOP_SECONDS if signals.preempted() else STOP_SECONDS)
            raise


def _run(
    workers: _Workers,
    folder: Path,
    free: "SimpleQueue[str | None]",
    options: Sequence[str],
    begun: Callable[[Path], None],
) -> None:
    gpu = free.get()
    try:
        begun(folder)
        _start(workers, folder, gpu, options)
    finally:
        free.put(gpu)


def _start(workers: _Workers, folder: Path, gpu: str | None, options: Sequence[str]) -> None:
    status = workers.run(folder, options, gpu)
    if status is None or status in (signals.PREEMPTED, signals.INTERRUPTED, -signal.SIGTERM, -signal.SIGINT):
        return  # stopped, not failed
    if status < 0:  # killed: it could not say why itself
        if workers.stopped:
            return
        cause = " (out of memory, perhaps)" if status == -signal.SIGKILL else ""
        write_failure(folder, f"the process was killed by signal {-status}{cause}")
    elif not ((folder / "result.json").exists() or (folder / "failure.json").exists()):
        write_failure(folder, f"the process ended with status {status}; log.txt has what it printed")
