"""One run of a study, in a process of its own: `python -m truelift.studies.worker FOLDER PARENT CHECKPOINT_SECONDS`.

The folder's config.toml says what to run. The process ends when its parent does, however that ends.
"""

import ctypes
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records import locked, write_json


def main(folder: Path, parent: int, checkpoint_seconds: float) -> int:
    """Run what the folder's config.toml says; the exit status is 1 where failure.json says why not."""
    end_with_parent(parent)
    try:
        (folder / "failure.json").unlink(missing_ok=True)
        config = tomllib.loads((folder / "config.toml").read_text())
        if "command" in config:
            run_command(config, folder)
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


def run_command(config: dict[str, Any], folder: Path) -> None:
    """Run a user's program and take up the metrics it leaves in FOLDER/metrics.json.

    Raises:
        InputError: The program cannot be started, fails, or leaves no flat JSON object of finite numbers.
    """
    with locked(folder):
        out = folder.absolute()
        filled = config["command"].format(seed=config["seed"], out=shlex.quote(str(out)), args=config["args"])
        parent = os.getpid()
        try:
            done = subprocess.run(
                shlex.split(filled), check=False, stdin=subprocess.DEVNULL, preexec_fn=lambda: end_with_parent(parent)
            )
        except OSError as error:
            raise InputError(f"the command cannot be started: {error}") from None
        if done.returncode:
            raise InputError(f"the command ended with status {done.returncode}; log.txt has what it printed")
        write_json(folder / "result.json", {"metrics": read_metrics(folder / "metrics.json"), **config})


def read_metrics(path: Path) -> dict[str, float]:
    """The metrics that a user's program left.

    Raises:
        InputError: No file, or it is not one flat JSON object of finite numbers.
    """
    try:
        metrics = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"the command left no {path.name} in {{out}}") from None
    except ValueError as error:
        raise InputError(f"{path.name} is not JSON: {error}") from None
    rule = f"{path.name} must be one JSON object of finite numbers by name"
    if not isinstance(metrics, dict) or not metrics:
        raise InputError(f"{rule}, got {metrics!r}")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{rule}, got {name}: {value!r}")
    return metrics


def write_failure(folder: Path, why: str) -> None:
    """Write failure.json."""
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
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
