"""Runs in parallel processes on this machine, with its cores shared out."""

import contextlib
import math
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from truelift import processes, signals
from truelift.errors import InputError, one_line
from truelift.records.leases import holder_of, is_free
from truelift.studies.executors.base import Work, has_ended
from truelift.studies.executors.one_gpu import side_by_side
from truelift.studies.start import ForkServer, Worker, environment_for, keep, server_for, start
from truelift.studies.worker import ELSEWHERE, is_program, write_failure

STOP_SECONDS, PREEMPTED_STOP_SECONDS = 8.0, 30.0
"""What workers have to end after Ctrl-C and after SIGTERM, before they are killed. A training ends at its next step."""

_STOPPED = (signals.PREEMPTED, signals.INTERRUPTED, -signal.SIGTERM, -signal.SIGINT)
"""Statuses of a run that was told to end, and has not failed."""

_LOOK_SECONDS = 0.5
"""Between two looks at runs that other processes have."""


@dataclass(frozen=True)
class Local:
    """This machine's processes."""

    jobs: int
    """At a time, at least 1."""
    threads: int
    """CPU threads of each, at least 1."""
    gpus: tuple[str, ...] = ()
    """Those that the processes share out among them."""
    retries: int = 0
    """How many times a run whose process was killed is tried again, from its checkpoint."""
    keep_server: bool = False
    """Whether the process that runs are forked from is kept, for the next call in this process."""

    def check(self, study: Path, *, one_by_one: bool = False) -> None:
        """Nothing can be wrong that the study itself does not see."""

    def _told(self) -> dict[str, str]:
        """What each run finds in its environment of how many share its GPU, where they do."""
        shared = self.gpus and self.jobs > len(self.gpus)
        return {processes.RUNS_A_GPU: str(math.ceil(self.jobs / len(self.gpus)))} if shared else {}

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """Run every folder's config.toml in a process of its own.

        A run that another process has is left to it, and taken up where that ends without a result or a failure. After
        Ctrl-C, SIGTERM or another exception here, the workers end before it goes on its way.

        Args:
            folders: Each with a config.toml when its turn comes. The next is asked for when a process is free, and all
                that have ended were yielded: so it may depend on them.
            work: What is the same in all. It is told, once, that nothing is left but what other processes have, and of
                each run that begins, by a thread of its own.

        Yields:
            Each folder as soon as its run has ended, with result.json or failure.json in it, or neither where it was
            interrupted.
        """
        # One for each process at a time, so that no GPU has two runs while another has none.
        free: SimpleQueue[str | None] = SimpleQueue()
        for job in range(self.jobs):
            free.put(self.gpus[job % len(self.gpus)] if self.gpus else None)
        options = [str(work.checkpoint_seconds), *([] if work.metric is None else [work.metric])]

        def make(folder: Path) -> bool:
            gpu = free.get()
            try:
                work.begun(folder)
                return _run_to_end(workers, folder, gpu, options, self.retries)
            finally:
                free.put(gpu)

        with (
            side_by_side(self.jobs, self.gpus) as shared,
            contextlib.closing(_Workers(self.threads, self.keep_server, shared | self._told())) as workers,
            ThreadPoolExecutor(self.jobs) as pool,
        ):
            try:
                running: dict[Future[bool], Path] = {}
                elsewhere: deque[Path] = deque()
                following, told = iter(folders), False
                while True:
                    while len(running) < self.jobs and (folder := next(following, None)) is not None:
                        if has_ended(folder):  # another process was here first
                            yield folder
                        elif _is_elsewhere(folder):
                            elsewhere.append(folder)
                        else:
                            running[pool.submit(make, folder)] = folder
                    for folder in list(elsewhere):
                        if has_ended(folder):
                            elsewhere.remove(folder)
                            yield folder
                        elif len(running) < self.jobs and (is_free(folder) or _is_left_behind(folder)):
                            elsewhere.remove(folder)
                            running[pool.submit(make, folder)] = folder
                    if running:
                        # Never without end: Ray ends a task by an exception that a wait does not notice before it ends.
                        for done in wait(running, _LOOK_SECONDS, FIRST_COMPLETED).done:
                            folder = running.pop(done)
                            if done.result():
                                yield folder
                            else:
                                elsewhere.append(folder)
                    elif elsewhere:
                        if not told:
                            work.tell(_waiting(elsewhere))
                        told = True
                        time.sleep(_LOOK_SECONDS)
                    else:
                        return
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                workers.stop(PREEMPTED_STOP_SECONDS if signals.preempted() else STOP_SECONDS)
                raise


class _Workers:
    """The workers that run.

    Args:
        threads: CPU threads of each.
        keep_server: Whether `close` keeps the process that they are forked from.
        environment: What each finds in its environment, beside the usual.
    """

    def __init__(self, threads: int, keep_server: bool, environment: Mapping[str, str]) -> None:
        self._threads = threads
        self._environment = {**environment_for(threads), **environment}
        self._keep = keep_server
        self._running: set[Worker] = set()
        self._lock, self._beginning = Lock(), Lock()
        self._server: ForkServer | None = None
        self.stopped = False

    def run(self, folder: Path, options: Sequence[str], gpu: str | None) -> int | None:
        """A worker's status; none where it was not started, since all shall stop.

        Raises:
            InputError: The log cannot be written.
        """
        try:
            file = (folder / "log.txt").open("a")
        except OSError as error:
            raise InputError(f"{folder} cannot be written to: {one_line(error)}.") from None
        environment = self._environment if gpu is None else {**self._environment, "CUDA_VISIBLE_DEVICES": gpu}
        with file:
            server = None if is_program(folder) else self._ready_server()
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
        """End the server, or keep it; all workers have ended."""
        if self._server is None:
            return
        if self.stopped:
            self._server.close()
        elif self._keep:
            keep(self._server)
        else:
            self._server.let_go()


def _is_elsewhere(folder: Path) -> bool:
    """Whether another machine has a run, or another command of this one."""
    return holder_of(folder) is not None and not _is_left_behind(folder)


def _is_left_behind(folder: Path) -> bool:
    """Whether what holds a run is what a killed process of this machine has started: the next worker ends it."""
    holder = holder_of(folder)
    return holder is not None and holder.is_here and not holder.is_running()


def _waiting(runs: Sequence[Path]) -> str:
    holder = holder_of(runs[0])
    by = "" if holder is None else f", such as {holder.words()}"
    return f"waiting for {len(runs)} run{'s' * (len(runs) > 1)} that other processes have{by}"


def _run_to_end(workers: _Workers, folder: Path, gpu: str | None, options: Sequence[str], retries: int) -> bool:
    """Whether the run has ended; not where another process has it."""
    status = workers.run(folder, options, gpu)
    while retries and status is not None and status < 0 and status not in _STOPPED and not workers.stopped:
        retries -= 1
        status = workers.run(folder, options, gpu)
    if status == ELSEWHERE:
        return False
    if status is None or status in _STOPPED or (status < 0 and workers.stopped):
        return True  # stopped, not failed
    if status < 0:  # killed: it could not say why itself
        cause = " (out of memory, perhaps)" if status == -signal.SIGKILL else ""
        return write_failure(folder, f"the process was killed by signal {-status}{cause}")
    if not has_ended(folder):
        return write_failure(folder, f"the process ended with status {status}; log.txt has what it printed")
    return True
