"""How far the runs of a study are, from records alone: what a study that runs shows, and whoever watches it.

Only the end of a run's metrics.jsonl is read, so that looking takes milliseconds, however long the run.
"""

import heapq
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from truelift.errors import InputError
from truelift.records.files import end_of
from truelift.records.holder import Holder
from truelift.records.leases import holder_of
from truelift.records.run import Run

State = Literal["done", "failed", "running", "waiting", "not needed"]

_TAIL_BYTES = 2**15


@dataclass(frozen=True)
class RunProgress:
    """How far a run is."""

    run: Run
    state: State
    step: int | None = None
    """The last that is known."""
    steps: int | None = None
    """Of the whole training; None for a program of the user's, and before it is known."""
    images_per_second: float | None = None
    """As of the last line of metrics."""
    seconds_left: float | None = None
    """As fast as it was in this go."""
    seconds: float | None = None
    """How long it took, or has been running in this go."""
    holder: Holder | None = None
    """Who runs it, where its lease was asked."""
    reason: str | None = None
    """Why it failed, one line."""

    @property
    def share_left(self) -> float:
        """The part of its steps that is to be made, as far as they are known."""
        return 1 - self.step / self.steps if self.step and self.steps else 1.0


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is."""

    runs: tuple[RunProgress, ...]
    seconds_left: float | None
    """Until the last run ends, as far as runs have shown how long they take; None where none has."""

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(run.state == state for run in self.runs)

    def of(self, state: State) -> list[RunProgress]:
        """The runs in a state."""
        return [run for run in self.runs if run.state == state]


def study_progress(
    runs: Sequence[Run], *, running: Collection[Path], jobs: int, ended: dict[Path, RunProgress], now: float
) -> StudyProgress:
    """Look at the runs of a study that this process runs.

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
        anew = replace(run)  # a run keeps its status once it was asked for
        seen = _of_running(anew, now) if run.folder in running else run_progress(anew)
        if seen.state in ("done", "failed"):
            ended[run.folder] = seen
        found.append(seen)
    return StudyProgress(tuple(found), _left(found, jobs))


def seen_from_outside(runs: Iterable[Run], now: float, not_needed: Collection[tuple[str, int]] = ()) -> StudyProgress:
    """Look at the runs of a study, whoever runs it: the leases say which ones run, and where.

    Args:
        runs: All of the study, in the order in which they start.
        now: The time in seconds, as of `time.time`.
        not_needed: The variants and seeds of runs that wait for nothing, since the study is decided without them.
    """
    found = []
    for run in runs:
        # As far as names tell, so that ten thousand finished runs take a second.
        ended = os.path.lexists(run.folder / "result.json") and run.status == "done"
        holder = None if ended else _holder(run.folder)
        one = run_progress(run) if holder is None else replace(_of_running(run, now), holder=holder)
        over = one.state == "waiting" and (run.variant, run.seed) in not_needed
        found.append(replace(one, state="not needed") if over else one)
    return StudyProgress(tuple(found), _left(found, max(1, sum(one.state == "running" for one in found))))


def run_progress(run: Run) -> RunProgress:
    """Look at a run on which no process works."""
    if run.status == "done":
        return RunProgress(run, "done", seconds=took(run))
    if run.status == "failed":
        return RunProgress(run, "failed", reason=str(run.failure()["reason"]))
    last, _ = _last_line(run.folder / "metrics.jsonl")
    step = None if last is None else int(last.step)
    return RunProgress(run, "waiting", step, None if step is None else run.environment().get("steps"))


def _of_running(run: Run, now: float) -> RunProgress:
    environment = run.environment()
    began = _seconds(environment.get("started"))
    steps, from_step = environment.get("steps"), environment.get("from_step", 0)
    last, written = _last_line(run.folder / "metrics.jsonl")
    running_for = None if began is None else max(0.0, now - began)
    if began is None or steps is None or last is None or written < began:
        return RunProgress(run, "running", None, steps, None, None, running_for)
    step = int(last.step)
    made = max(step - from_step, 0)
    left = max(0.0, (steps - step) * (written - began) / made - (now - written)) if made else None
    return RunProgress(run, "running", step, steps, last.images_per_second, left, running_for)


def _holder(folder: Path) -> Holder | None:
    with suppress(OSError):
        return holder_of(folder)
    return None


def _left(runs: Sequence[RunProgress], jobs: int) -> float | None:
    """Until all have ended, each started as soon as a process is free."""
    of_variant: dict[str, list[float]] = {}
    for run in runs:
        whole = _whole(run)
        if whole is not None:
            of_variant.setdefault(run.run.variant, []).append(whole)
    if not of_variant:
        return None
    means = {variant: sum(found) / len(found) for variant, found in of_variant.items()}
    usual = sum(means.values()) / len(means)
    running: list[float] = []
    waiting: list[float] = []
    for run in runs:
        expected = means.get(run.run.variant, usual)
        if run.state == "running":
            seconds = max(0.0, expected - (run.seconds or 0.0)) if run.seconds_left is None else run.seconds_left
            running.append(seconds)
        elif run.state == "waiting":
            waiting.append(run.share_left * expected)
    return lay_out(waiting, jobs, running)


def lay_out(seconds: Iterable[float], jobs: int, running: Iterable[float] = ()) -> float:
    """Until the last of several runs ends, each started as soon as a process is free.

    Args:
        seconds: Of each that is to start, at least 0, in order.
        jobs: Processes at a time.
        running: What each that runs has left.

    >>> lay_out([3.0, 1.0, 1.0, 1.0], 2)
    3.0
    """
    ends = [*running]
    heapq.heapify(ends)
    for one in seconds:
        begins = 0.0 if len(ends) < jobs else heapq.heappop(ends)
        heapq.heappush(ends, begins + one)
    return max(ends, default=0.0)


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
    except InputError:
        return None, 0.0
    for line in reversed(end.content.split(b"\n")[1 if end.is_cut else 0 : -1]):
        try:
            found = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if found.kind == "train":
            return found, end.written
    return None, end.written
