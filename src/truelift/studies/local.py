"""Runs in parallel processes on this machine, with its cores shared out."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from truelift.errors import InputError, one_line
from truelift.studies.worker import write_failure


def run_local(
    folders: Sequence[Path],
    *,
    jobs: int,
    threads: int,
    gpus: Sequence[str],
    checkpoint_seconds: float,
    metric: str | None = None,
) -> Iterator[Path]:
    """Run every folder's config.toml in a process of its own.

    Args:
        folders: Each with a config.toml.
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
    with ThreadPoolExecutor(jobs) as pool:
        options = [str(checkpoint_seconds)] if metric is None else [str(checkpoint_seconds), metric]
        running = {pool.submit(_run, folder, threads, free, options): folder for folder in folders}
        try:
            for done in as_completed(running):
                done.result()
                yield running[done]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run(folder: Path, threads: int, free: "SimpleQueue[str | None]", options: Sequence[str]) -> None:
    gpu = free.get()
    try:
        _start(folder, threads, gpu, options)
    finally:
        free.put(gpu)


def _start(folder: Path, threads: int, gpu: str | None, options: Sequence[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    arguments = [str(folder), str(os.getpid()), *options]
    command = [sys.executable, "-m", "truelift.studies.worker", *arguments]
    try:
        log = (folder / "log.txt").open("a")
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {one_line(error)}.") from None
    with log:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
        )
    if done.returncode == -signal.SIGINT:  # Ctrl-C reaches every process of a terminal: stopped, not failed
        return
    if done.returncode < 0:  # killed: it could not say why itself
        cause = " (out of memory, perhaps)" if done.returncode == -signal.SIGKILL else ""
        write_failure(folder, f"the process was killed by signal {-done.returncode}{cause}")
    elif not ((folder / "result.json").exists() or (folder / "failure.json").exists()):
        write_failure(folder, f"the process ended with status {done.returncode}; log.txt has what it printed")
