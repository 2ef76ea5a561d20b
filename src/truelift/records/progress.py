"""How far the runs of a study are, from records alone: what a study that runs shows, and whoever watches it.

Only the end of a run's metrics.jsonl is read, so that looking takes milliseconds, however long the run.
"""

import heapq
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from truelift.errors import InputError
from truelift.records.files import end_of
from truelift.records.run import Run, Status

State = Literal["done", "failed", "running", "stopped", "waiting"]
"""Of a run: stopped is begun and not running, waiting not begun."""

_TAIL_BYTES = 2**15


@dataclass(frozen=True)
class RunProgress:
    """How far a run is."""

    variant: str
    seed: int
    state: State
    step: int | None = None
    """The last that is known."""
    steps: int | None = None
    """Of the whole training; None for a program of the user's, and before it is known."""
    images_per_second: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    """How long it took, or has been running in this go."""


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is."""

    runs: tuple[RunProgress, ...]
    seconds_left: float | None
    """Until the last run ends, as far as runs have shown how long they take; None where none has."""

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(run.state == state for run in self.runs)


def study_progress(
    runs: Sequence[Run], *, running: Collection[Path], jobs: int, ended: dict[Path, RunProgress], now: float
) -> StudyProgress:
    """Look at a study's runs.

    Args:
        runs: Those that are to be made, in the order in which they start.
        running: The folders of those that run.
        jobs: Runs at a time, at least 1.
        ended: What was seen of runs that have ended: they are not read again. Filled here.
        now: The time in seconds, as of `time.time`.
    """
    found = []
    for run in runs:
        if run.folder in ended and run.folder not in running:
            found.append(ended[run.folder])
            continue
        # A status is kept by a run once it was asked for, so it is asked anew.
        seen = run_progress(Run(run.variant, run.seed, run.folder, run.fingerprints), run.folder in running, now)
        if seen.state in ("done", "failed"):
            ended[run.folder] = seen
        found.append(seen)
    return StudyProgress(tuple(found), _left(found, jobs))


def run_progress(run: Run, is_running: bool, now: float) -> RunProgress:
    """Look at one run.

    Args:
        run: The run.
        is_running: Whether a process works on it.
        now: The time in seconds.
    """
    status: Status = "unfinished" if is_running else run.status
    environment = run.environment()
    began = _seconds(environment.get("started"))
    steps, from_step = environment.get("steps"), environment.get("from_step", 0)
    last, written = _last_line(run.folder / "metrics.jsonl")
    step = None if last is None else int(last.step)
    if status == "done":
        seconds = took(run)
        return RunProgress(run.variant, run.seed, "done", steps, steps, None, 0.0, seconds)
    if status == "failed":
        return RunProgress(run.variant, run.seed, "failed", step, steps)
    if not is_running:
        begun = step is not None or os.path.lexists(run.folder / "checkpoint.pt")
        return RunProgress(run.variant, run.seed, "stopped" if begun else "waiting", step, steps)
    running_for = None if began is None else max(0.0, now - began)
    if began is None or step is None or steps is None or last is None or written < began:
        return RunProgress(run.variant, run.seed, "running", None, steps, None, None, running_for)
    made = max(step - from_step, 0)
    left = (steps - step) * (written - began) / made - (now - written) if made else None
    return RunProgress(
        run.variant,
        run.seed,
        "running",
        step,
        steps,
        last.images_per_second,
        None if left is None else max(0.0, left),
        running_for,
    )


def _left(runs: Sequence[RunProgress], jobs: int) -> float | None:
    """Until all have ended, each started as soon as a process is free."""
    of_variant: dict[str, list[float]] = {}
    for run in runs:
        whole = _whole(run)
        if whole is not None:
            of_variant.setdefault(run.variant, []).append(whole)
    if not of_variant:
        return None
    means = {variant: sum(found) / len(found) for variant, found in of_variant.items()}
    usual = sum(means.values()) / len(means)
    free: list[float] = []
    for run in runs:
        if run.state == "running":
            expected = max(0.0, means.get(run.variant, usual) - (run.seconds or 0.0))
            free.append(expected if run.seconds_left is None else run.seconds_left)
    heapq.heapify(free)
    ends = max(free, default=0.0)
    for run in runs:
        if run.state in ("waiting", "stopped"):
            part = 1 - run.step / run.steps if run.step and run.steps else 1.0
            begins = 0.0 if len(free) < jobs else heapq.heappop(free)
            heapq.heappush(free, begins + part * means.get(run.variant, usual))
            ends = max(ends, *free)
    return ends


def _whole(run: RunProgress) -> float | None:
    """Seconds of the whole run, as far as it shows."""
    if run.state == "done":
        return run.seconds
    if run.state == "running" and run.seconds_left is not None and run.step and run.steps and run.step < run.steps:
        return run.seconds_left * run.steps / (run.steps - run.step)
    return None


def took(run: Run) -> float | None:
    """Seconds of a finished run: of its training and evaluations, or a program's."""
    try:
        result = run.result()
    except InputError:
        return None
    parts = (result["metrics"].get("train_seconds"), result.get("evaluation_seconds"))
    known = [float(part) for part in parts if isinstance(part, int | float) and part >= 0]
    wall = result.get("wall_seconds")
    if isinstance(wall, int | float):
        return float(wall)
    return sum(known) if known else None


def _seconds(started: object) -> float | None:
    try:
        when = datetime.fromisoformat(str(started))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class _Line(Struct):
    step: Annotated[float, Meta(ge=0, le=1e15)]
    kind: str = "train"
    images_per_second: float | None = None


def _last_line(path: Path) -> tuple[_Line | None, float]:
    """The last line of training in metrics.jsonl, and when the file was written."""
    try:
        end = end_of(path, _TAIL_BYTES)
    except (InputError, OSError):
        return None, 0.0
    for line in reversed(end.content.split(b"\n")[1 if end.is_cut else 0 : -1]):
        try:
            found = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if found.kind == "train":
            return found, end.written
    return None, end.written
