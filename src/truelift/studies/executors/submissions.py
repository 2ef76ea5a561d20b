"""What a study has handed to a scheduler: a folder each, `slurm/TIME-xxxx/` in the study's.

script.sh     what was handed over
tasks.json    the runs of each task
job.json      the scheduler's number of it
N.txt         what task N printed
"""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records import now, read_bytes, write_json, write_text

_MOST_BYTES = 2**26


@dataclass(frozen=True)
class Submission:
    """One array of jobs."""

    job: str
    tasks: tuple[tuple[str, ...], ...]
    """The runs' folders, as from the study's, of each task."""


def new_folder(study: Path) -> Path:
    """A name that no other submission has, in the order of time."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    when = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return study / "slurm" / f"{when}.{rest // 10**6:03}-{secrets.token_hex(2)}"


def write_submission(folder: Path, script: str, tasks: Sequence[Sequence[str]]) -> None:
    """Write what is to be handed over."""
    write_json(folder / "tasks.json", [list(task) for task in tasks])
    write_text(folder / "script.sh", script)


def write_job(folder: Path, job: str) -> None:
    """Write which job it has become."""
    write_json(folder / "job.json", {"job": job, "submitted": now()})


def read_submissions(study: Path) -> list[Submission]:
    """All that became jobs, the oldest first; what is damaged counts as not there: leases hold all the same."""
    found = []
    for path in sorted(study.glob("slurm/*/job.json")):
        try:
            job = _json(path)["job"]
            tasks = read_tasks(path.parent / "tasks.json")
        except (InputError, KeyError, TypeError):
            continue
        if isinstance(job, str) and job.isdecimal():
            found.append(Submission(job, tasks))
    return found


def read_tasks(path: Path) -> tuple[tuple[str, ...], ...]:
    """The runs of each task.

    Raises:
        InputError: It is no list of lists of texts.
    """
    tasks = _json(path)
    if not isinstance(tasks, list) or not all(
        isinstance(task, list) and all(isinstance(run, str) for run in task) for task in tasks
    ):
        raise InputError(f"{path} must be a list of lists of runs' folders.")
    return tuple(tuple(task) for task in tasks)


def _json(path: Path) -> Any:
    content = read_bytes(path, _MOST_BYTES)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON.") from None
