"""One run of a study, in a process of its own.

    python -m truelift.studies.worker FOLDER CHECKPOINT_SECONDS [METRIC] < PIPE

The folder's config.toml says what to run. METRIC is the one that decides the study, which a program of the user's must
give. Nothing is ever written into the pipe: its end says that the study's process is gone, and then this process ends
with all that it has started. SIGTERM has a training write a checkpoint, and a program of the user's end; the status is
143 then, and nothing has failed. Nor has anything where another process holds the run's folder, or has taken it over:
the status is `ELSEWHERE` then, and nothing is written.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from truelift import processes, signals
from truelift.ending import QuickEnd
from truelift.errors import DivergedError, InputError, one_line
from truelift.records import ANOTHER_TRY, Run, leased, now, read_config_file, write_json
from truelift.records.config_file import kept_config
from truelift.records.leases import LeaseLostError, check_held, holder_of, is_lost, lease_of
from truelift.records.locks import InUseError
from truelift.records.own_result import OF_PROGRAM, is_own
from truelift.records.predicted import metric_of
from truelift.studies.command import metrics_file
from truelift.studies.program import Used, run_program
from truelift.studies.program_environment import describe
from truelift.studies.program_metrics import UnmeasuredError, read_metrics, result_of
from truelift.studies.sources import command_line, made_meanwhile, source_digests

ELSEWHERE = 75
"""Exit status where another process has the run: for now it is none of this one's."""

_OF_A_TRY = ("metrics.json", "predictions.npz", "features.npz", "result.json")
"""What a program leaves that counts, and a result.json of its own making: truelift's is written behind it."""
_LET_GO_SECONDS = 5.0
"""What may still hold a run's folder for a moment: what its worker has started."""
_WAIT_SECONDS = 10.0
"""How long what runs in a folder may take to end."""


def main(folder: Path, checkpoint_seconds: float, metric: str | None = None, *, study: int | None = None) -> int:
    """Run what the folder's config.toml says.

    Args:
        folder: The run's.
        checkpoint_seconds: Time between checkpoints, at least 0.
        metric: The one that a program of the user's must give.
        study: Reading end of the pipe to the study's process.

    Returns:
        The exit status; 1 where failure.json says why not, 143 or 130 after a signal, 75 where another process has it.
    """
    try:
        with signals.unwinding():
            config = read_config_file(folder)
            if study is not None and "command" not in config:
                end_with_study(study)
            wait_until_free(folder)
            mark_try(folder)
            if "command" in config:
                run_command(config, folder, metric, study)
            else:
                run_experiment(folder, checkpoint_seconds)
    except (KeyboardInterrupt, signals.PreemptedError):
        return signals.status() or signals.INTERRUPTED
    except (InUseError, LeaseLostError) as error:
        print(f"truelift: {error}", file=sys.stderr, flush=True)
        return ELSEWHERE
    except Exception as error:
        status = signals.status()
        if status is not None:  # it was interrupted, and somebody's code has made another exception of it
            return status
        if isinstance(error, InputError) and is_program(folder):
            print(f"truelift: {one_line(error)}", file=sys.stderr)  # where in here it was raised helps nobody
        else:
            traceback.print_exc()
        ran = error.ran if isinstance(error, UnmeasuredError) else None
        written = write_failure(folder, reason(error), diverged=isinstance(error, DivergedError), ran=ran)
        return 1 if written else ELSEWHERE
    return 0


def is_program(folder: Path) -> bool:
    """Whether a run is a program of the user's: it needs no torch."""
    try:
        return "command" in read_config_file(folder)
    except InputError:  # whoever makes the run says so
        return False


def end_with_study(study: int) -> None:
    """End this process, and all that it has started, as soon as the pipe from the study ends."""

    def watch() -> None:
        os.read(study, 1)
        processes.kill_all(lambda: processes.descendants(os.getpid()), seconds=2.0)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def mark_try(folder: Path) -> None:
    """Have log.txt say where this try begins, if it has lines of one before."""
    with contextlib.suppress(OSError):  # there is none, or this process prints elsewhere
        log = (folder / "log.txt").stat()
        if log.st_size and os.path.samestat(log, os.fstat(1)):
            print(f"\n{ANOTHER_TRY}", flush=True)


def wait_until_free(folder: Path) -> None:
    """Wait for what still runs in a run's folder to end: its study was killed a moment ago, or its worker.

    A worker that lives ends what it has started by itself; what has none is ended here. That an earlier try failed is
    forgotten.

    Raises:
        InUseError: The wait was in vain.
    """
    processes.kill_all(lambda: processes.orphans(os.path.realpath(folder)))
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            with leased(folder):
                (folder / "failure.json").unlink(missing_ok=True)
                return
        except InUseError:
            holder = holder_of(folder)
            if time.monotonic() > deadline or (holder is not None and not holder.is_here):
                raise
            time.sleep(0.05)
            processes.send(signal.SIGKILL, processes.orphans(os.path.realpath(folder)))


def run_experiment(folder: Path, checkpoint_seconds: float) -> None:
    """Run one of our experiments, or go on with it."""
    # Imported here, so that a user's program does not wait for torch.
    from truelift.training import resolve, run
    from truelift.training.hardware import use_threads
    from truelift.training.identity import read_config
    from truelift.training.progress import PlainReporter

    use_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run(resolve(read_config(folder)), folder, reporter=PlainReporter(), checkpoint_seconds=checkpoint_seconds)


def run_command(config: dict[str, Any], folder: Path, metric: str | None = None, study: int | None = None) -> None:
    """Run a user's program and take up the metrics it leaves in FOLDER/metrics.json.

    Args:
        config: `command`, `args` and `seed`.
        folder: The run's.
        metric: The one that must be there.
        study: Reading end of the pipe to the study's process.

    Raises:
        InputError: The program cannot be started, fails, or leaves no metrics; where it has ended well,
            an `UnmeasuredError` with what it took.
        PreemptedError: SIGTERM has come.
        InUseError: Another process has the folder.
        LeaseLostError: It was taken over meanwhile.
    """
    with leased(folder):
        if _is_done(config, folder, metric):  # by another process, while this one began
            return
        # What an earlier try left is no result of this one. Its checkpoints and metrics.jsonl are the program's affair.
        for name in (*_OF_A_TRY, metrics_file(config)):
            (folder / name).unlink(missing_ok=True)
        digests = source_digests(config, folder.absolute())  # of what runs, not of what it is when that has ended
        command = command_line(config, folder.absolute())
        write_json(folder / "environment.json", describe(command))
        try:
            with kept_config(folder):
                used, left = _tried(config, command, folder, metric, study)
        except (InputError, KeyboardInterrupt, signals.PreemptedError):
            if not is_lost(folder):  # else it is of whoever has taken over
                (folder / "result.json").unlink(missing_ok=True)  # of the program's own making
            raise
        ran = {
            **{name: config[name] for name in OF_PROGRAM},
            "results": metrics_file(config),
            "sources": digests,
            "made": made_meanwhile(digests, config, folder.absolute()),
            "wall_seconds": used.wall_seconds,
            "peak_bytes": used.peak_bytes,
            "finished": now(),
        }
        if isinstance(left, UnmeasuredError):
            (folder / "result.json").unlink(missing_ok=True)  # of the program's own making
            left.ran = ran
            raise left
        write_json(folder / "result.json", result_of(ran, *left))


def _tried(
    config: dict[str, Any], command: list[str], folder: Path, metric: str | None, study: int | None
) -> tuple[Used, tuple[dict[str, float], list[str]] | UnmeasuredError]:
    """What the program took and left, in the first of its tries that does not fail; without its metric none would.

    Raises:
        InputError: The last one failed too.
        LeaseLostError: The folder was taken over meanwhile: nothing in it is touched any more.
    """
    retries = config.get("retries", 0)
    for attempt in range(retries + 1):
        try:
            used = run_program(
                command,
                folder,
                study=study,
                lease=lease_of(folder),
                lost=lambda: is_lost(folder),
                timeout=config.get("timeout"),
            )
            if is_lost(folder):
                check_held(folder)  # which says to whom
            try:
                return used, read_metrics(folder / metrics_file(config), metric, folder=folder)
            except UnmeasuredError as error:
                return used, error
        except LeaseLostError:
            raise
        except InputError as error:
            if is_lost(folder):
                check_held(folder)
            if attempt == retries:
                raise
            print(f"truelift: try {attempt + 1} failed: {error}. It is tried again.", flush=True)
            mark_try(folder)
            for name in (*_OF_A_TRY, metrics_file(config)):
                (folder / name).unlink(missing_ok=True)
    raise AssertionError("the last try is returned or raised")


def _is_done(config: dict[str, Any], folder: Path, metric: str | None) -> bool:
    """Whether the folder holds the result of this very program: what was in its way was set aside by the study."""
    run = Run("", config["seed"], folder)
    if run.status != "done" or (metric is not None and metric_of(run, metric) is None):
        return False
    return is_own(run.result(), config)


def write_failure(folder: Path, why: str, *, diverged: bool = False, ran: Mapping[str, Any] | None = None) -> bool:
    """Write failure.json, unless the run's folder is gone.

    Args:
        folder: The run's.
        why: One line.
        diverged: Whether the training did, which another try would do as well.
        ran: Of a program that has ended well without its metric, what its result would have had.

    Returns:
        False where another process has taken the run up: then nothing is written.
    """
    if folder.is_dir():
        try:
            with leased(folder, wait_seconds=_LET_GO_SECONDS):
                further = ({"diverged": True} if diverged else {}) | ({} if ran is None else {"ran": ran})
                write_json(folder / "failure.json", {"reason": why} | further)
        except InUseError:
            return False
    return True


def reason(error: Exception) -> str:
    """An error as one line; one that nobody foresaw with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError | DivergedError) else f"{type(error).__name__}: {text}"


def from_study() -> int:
    """The pipe from the study, taken out of the way of whoever reads from the standard input."""
    study = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    return study


def begin(arguments: Sequence[str], end: QuickEnd) -> NoReturn:
    """Be the worker that the command line asks for, to the end of this process.

    Args:
        arguments: FOLDER, CHECKPOINT_SECONDS and, for a program of the user's, METRIC.
        end: This program's.
    """
    signals.take_over("")
    sys.argv = [__file__, *arguments]
    sys.exit(end.here(main(Path(arguments[0]), float(arguments[1]), *arguments[2:3], study=from_study())))


if __name__ == "__main__":
    begin(sys.argv[1:], QuickEnd())
