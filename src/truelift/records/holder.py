"""Who holds a folder, as the holder's lease tells it."""

import contextlib
import json
import os
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from truelift import processes
from truelift.errors import InputError

HEARTBEAT = 15.0
"""Seconds between two, unless the environment variable TRUELIFT_HEARTBEAT says otherwise."""
LONGEST_HEARTBEAT = 3600.0


@dataclass(frozen=True)
class Holder:
    """Who holds a folder, as the lease tells it."""

    host: str
    process: int
    executor: str
    """What started it: local, slurm, ray, work, or train for a training by itself."""
    job: str
    """Of the scheduler; empty where there is none."""
    since: str
    """ISO 8601, by the holder's clock."""
    heartbeat: float
    """Seconds between two."""
    system: str
    """Of machine and its process numbers: what these mean there."""
    began: str
    """When the process began, as the system counts: a number may be given again."""
    token: str
    """Of this lease alone."""

    @property
    def is_here(self) -> bool:
        """Whether its process number is one of this machine's."""
        return (self.host, self.system) == (socket.gethostname(), _system())

    def is_running(self) -> bool:
        """Whether its process, of this machine, still runs."""
        return processes.is_running(self.process) and (
            not self.began or processes.beginning(self.process) == self.began
        )

    def words(self) -> str:
        """For a sentence."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.process} on {self.host}{job}, since {self.since}"


def heartbeat_seconds() -> float:
    """Seconds between two heartbeats.

    Raises:
        InputError: TRUELIFT_HEARTBEAT is no number above 0 and at most an hour.
    """
    text = os.environ.get("TRUELIFT_HEARTBEAT", "")
    try:
        seconds = float(text) if text else HEARTBEAT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_HEARTBEAT:
        raise InputError(f"TRUELIFT_HEARTBEAT must be seconds, above 0 and at most 3,600, got {text}.")
    return seconds


def holder_in(content: bytes) -> Holder | None:
    """As a lease's content has it; None where it is no lease's."""
    try:
        told: dict[str, Any] = json.loads(content)
        texts = {name: str(told[name]) for name in ("host", "executor", "job", "since", "system", "began", "token")}
        heartbeat = min(max(float(told["heartbeat"]), 0.001), LONGEST_HEARTBEAT)
        process = int(told["process"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if process < 1:  # no number of a process
        return None
    return Holder(**texts, process=process, heartbeat=heartbeat)


def about_this_process(token: str, heartbeat: float) -> dict[str, Any]:
    """A lease's content, of this process: the fields of `Holder`."""
    from truelift.records.files import now

    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "executor": os.environ.get("TRUELIFT_EXECUTOR", "train"),
        "job": _job(),
        "since": now(),
        "heartbeat": heartbeat,
        "system": _system(),
        "began": _began(os.getpid()),
        "token": token,
    }


@cache
def _began(this_process: int) -> str:
    return processes.beginning(this_process)


def _job() -> str:
    """The number of the scheduler's job that this process belongs to; empty where there is none."""
    if os.environ.get("TRUELIFT_JOB"):  # as an executor has set it
        return os.environ["TRUELIFT_JOB"]
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


@cache
def _system() -> str:
    """What makes a process number one process: the machine since it started, and the numbers' space."""
    with contextlib.suppress(OSError):  # no Linux, or one without /proc
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    return f"{uuid.getnode():x}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_began.cache_clear)  # the number of a process may be given again
