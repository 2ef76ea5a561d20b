"""Runs in parallel processes on this machine, with its cores shared out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from truelift import processes, signals
from truelift.errors import InputError, one_line
from truelift.studies.worker import write_failure

STOP_SECONDS, PREEMPTED_STOP_SECONDS = 8.0, 30.0
"""What workers have to end after Ctrl-C and after SIGTERM, before they are killed. A training ends at its next step."""


class _Workers:
    """The workers that run. Each leads a session of its own, so that Ctrl-C at a terminal reaches the study alone."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()
        self.stopped = False

    def run(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> int | None:
        """A worker's status; none where it was not started, since all shall stop.

        Raises:
            InputError: The log cannot be written.
        """
        try:
            file = log.open("a")
        except OSError as error:
            raise InputError(f"{log.parent} cannot be written to: {one_line(error)}.") from None
        with file, self._lock:
            if self.stopped:
                return None
            # Nothing is written into the pipe: it ends when this process does, and the worker with it.
            worker = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            self._running.add(worker)
        status = worker.wait()
        with self._lock:
            self._running.discard(worker)
        assert worker.stdin is not None
        worker.stdin.close()
        if status < 0:  # what it has started could not end with it
            processes.kill_all(lambda: processes.left_by(worker.pid))
        return status

    def stop(self, seconds: float) -> None:
        """Have all workers end; those that have not after so many seconds are killed. No other is started."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        for worker in running:
            worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in running:
            worker.kill()


def run_local(
    folders: Iterable[Path],
    *,
    jobs: int,
    threads: int,
    gpus: Sequence[str],
    checkpoint_seconds: float,
    metric: str | None = None,
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

    Yields:
        Each folder as soon as its run has ended, with result.json or failure.json in it, or neither where it was
        interrupted.
    """
    # One for each process at a time, so that no GPU has two runs while another has none.
    free: SimpleQueue[str | None] = SimpleQueue()
    for job in range(jobs):
        free.put(gpus[job % len(gpus)] if gpus else None)
    workers = _Workers()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            options = [str(checkpoint_seconds)] if metric is None else [str(checkpoint_seconds), metric]
            running: dict[Future[None], Path] = {}
            following = iter(folders)
            while True:
                while len(running) < jobs and (folder := next(following, None)) is not None:
                    running[pool.submit(_run, workers, folder, threads, free, options)] = folder
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
    workers: _Workers, folder: Path, threads: int, free: "SimpleQueue[str | None]", options: Sequence[str]
) -> None:
    gpu = free.get()
    try:
        _start(workers, folder, threads, gpu, options)
    finally:
        free.put(gpu)


def _start(workers: _Workers, folder: Path, threads: int, gpu: str | None, options: Sequence[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    command = [sys.executable, "-m", "truelift.studies.worker", str(folder), *options]
    status = workers.run(command, folder / "log.txt", environment)
    if status is None or status in (signals.PREEMPTED, signals.INTERRUPTED, -signal.SIGTERM, -signal.SIGINT):
        return  # stopped, not failed
    if status < 0:  # killed: it could not say why itself
        if workers.stopped:
            return
        cause = " (out of memory, perhaps)" if status == -signal.SIGKILL else ""
        write_failure(folder, f"the process was killed by signal {-status}{cause}")
    elif not ((folder / "result.json").exists() or (folder / "failure.json").exists()):
        write_failure(folder, f"the process ended with status {status}; log.txt has what it printed")
