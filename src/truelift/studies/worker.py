"""One run of a study, in a process of its own.

    python -m truelift.studies.worker FOLDER PARENT CHECKPOINT_SECONDS [METRIC]

The folder's config.toml says what to run. The process ends when its parent does, however that ends. METRIC is the one
that decides the study, which a program of the user's must give.
"""

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from truelift.errors import InputError, one_line
from truelift.records import locked, read_config_file, write_json
from truelift.records.files import read_bytes
from truelift.studies.sources import command_line, source_digests

MOST_METRICS_BYTES = 2**20
"""Of a metrics.json."""


def main(folder: Path, parent: int, checkpoint_seconds: float, metric: str | None = None) -> int:
    """Run what the folder's config.toml says; the exit status is 1 where failure.json says why not."""
    end_with_parent(parent)
    try:
        (folder / "failure.json").unlink(missing_ok=True)
        config = read_config_file(folder)
        if "command" in config:
            run_command(config, folder, metric)
        else:
            run_experiment(folder, checkpoint_seconds)
    except Exception as error:
        traceback.print_exc()
        write_failure(folder, reason(error))
        return 1
    return 0


def run_experiment(folder: Path, checkpoint_seconds: float) -> None:
    """Run one of our experiments, or go on with it."""
    # Imported here, so that a user's program does not wait for torch.
    from truelift.training import resolve, run
    from truelift.training.hardware import use_threads
    from truelift.training.identity import read_config
    from truelift.training.progress import PlainReporter

    use_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    run(resolve(read_config(folder)), folder, reporter=PlainReporter(), checkpoint_seconds=checkpoint_seconds)


def run_command(config: dict[str, Any], folder: Path, metric: str | None = None) -> None:
    """Run a user's program and take up the metrics it leaves in FOLDER/metrics.json.

    Args:
        config: `command`, `args` and `seed`.
        folder: The run's.
        metric: The one that must be there.

    Raises:
        InputError: The program cannot be started, fails, or leaves no metrics.
    """
    with locked(folder):
        # What an earlier try left is no result of this one. Its checkpoints and metrics.jsonl are the program's affair.
        for name in ("metrics.json", "predictions.npz", "features.npz"):
            (folder / name).unlink(missing_ok=True)
        digests = source_digests(config, folder.absolute())  # of what runs, not of what it is when that has ended
        try:
            start_command(config, folder)
            metrics, left_out = read_metrics(folder / "metrics.json", metric)
        except InputError:
            (folder / "result.json").unlink(missing_ok=True)  # of the program's own making
            raise
        write_json(folder / "result.json", {"metrics": metrics, **config, "left_out": left_out, "sources": digests})


def start_command(config: dict[str, Any], folder: Path) -> None:
    """Run a user's program to its end.

    Raises:
        InputError: It cannot be started, or ends with a status other than 0.
    """
    out = folder.absolute()
    command = command_line(config, out)
    parent = os.getpid()
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, preexec_fn=lambda: end_with_parent(parent)
        )
    except OSError as error:
        raise InputError(f"the command cannot be started: {error}") from None
    if done.returncode:
        raise InputError(f"the command ended with status {done.returncode}; log.txt has what it printed")


def read_metrics(path: Path, metric: str | None = None) -> tuple[dict[str, float], list[str]]:
    """The metrics that a user's program left: the finite numbers in it; and the names of what else is there.

    Args:
        path: The file.
        metric: The one that must be there.

    Raises:
        InputError: No regular file of at most `MOST_METRICS_BYTES`, no JSON object in UTF-8, no finite number, or none
            named as the metric.
    """
    if not path.exists():
        raise InputError(f"the command left no {path.name} in {{out}}")
    try:
        # A NaN, which Python writes as such, is a stray value like others.
        found = json.loads(read_bytes(path, MOST_METRICS_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not UTF-8") from None
    except RecursionError:
        raise InputError(f"{path.name} is nested too deeply") from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path.name} is not JSON: {one_line(error)}") from None
    rule = f"{path.name} must be one JSON object of finite numbers by name"
    if not isinstance(found, dict):
        raise InputError(f"{rule}, got {_shown(found)}")
    metrics = {name: value for name, value in found.items() if _is_metric(name, value)}
    if metric is not None and metric not in metrics:
        got = f"{metric}: {_shown(found[metric])}" if metric in found else f"only {_shown(sorted(metrics))}"
        raise InputError(f"{path.name} must have a finite number {metric}, got {got}")
    if not metrics:
        raise InputError(f"{rule}, got {_shown(found)}")
    left_out = [name for name in found if name not in metrics]
    for name in left_out:
        print(f"truelift: {path.name}: {_shown(name)} is left out, since it is no finite number: {_shown(found[name])}")
    return metrics, [_shown(name)[1:-1] for name in left_out]


def _is_metric(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        name.encode()  # half a character, which JSON can have, can be written nowhere
        return math.isfinite(value)
    except (UnicodeEncodeError, OverflowError):
        return False


def _shown(value: Any) -> str:
    """A value in ASCII, and not at length."""
    try:
        text = ascii(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]} …"


def write_failure(folder: Path, why: str) -> None:
    """Write failure.json, unless the run's folder is gone."""
    if folder.is_dir():
        write_json(folder / "failure.json", {"reason": why})


def reason(error: Exception) -> str:
    """An error as one line; one that nobody foresaw with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def end_with_parent(parent: int) -> None:
    """Have Linux kill this process when `parent` ends, so that no orphan writes into a folder that is taken up anew."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:5]))
