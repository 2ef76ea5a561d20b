"""A study as one job array of Slurm's.

What a run has come to is read from its folder, never from the queue. The queue is asked for two things alone: which
runs wait in it still, so that they are not handed over twice, and whether anything is still to come for whoever waits.
"""

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from truelift import signals
from truelift.errors import InputError, unknown_name
from truelift.records.leases import holder_of
from truelift.studies.executors.base import Work, has_ended
from truelift.studies.executors.options import ExecutorOptions
from truelift.studies.executors.short_runs import mean_seconds, most_runs_a_task
from truelift.studies.executors.slurm_script import script
from truelift.studies.executors.submissions import (
    Submission,
    new_folder,
    read_submissions,
    write_job,
    write_submission,
)

_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 1.0
"""Between two looks at the runs' folders, for whoever waits; more where a look takes long."""
_QUEUE_SECONDS = 15.0
"""Between two looks at the queue."""
_SETTLE_SECONDS = 10.0
"""A task that is not in the queue any more may still have its last file written."""

_NODES_OWN = ("/tmp", "/var/tmp", "/dev/shm", "/run")
"""Folders that every machine has for itself."""


@dataclass(frozen=True)
class Slurm:
    """A cluster's jobs."""

    options: ExecutorOptions
    waits: bool = False
    """Whether the command waits for the runs."""

    def check(self, study: Path, *, one_by_one: bool = False) -> None:
        """Refuse what Slurm would refuse, or would fail at in every task.

        Raises:
            InputError: There is no sbatch here, Slurm does not answer, the partition is not there, or the nodes cannot
                see the study's folder.
        """
        if one_by_one and not (self.waits and self.options.at_once):
            raise InputError(
                "a study until decided needs --wait and --executor.at_once with --executor slurm: which run is next "
                "depends on those that have ended, and the command that waits hands over so many at a time."
            )
        if shutil.which("sbatch") is None:
            raise InputError(
                "executor slurm needs sbatch on the path: give the command on a login node of the cluster."
            )
        partitions = sorted(set(_asked("sinfo", "--noheader", "--format=%R").split()))
        wanted = self.options.partition
        for name in [] if wanted is None else wanted.split(","):
            if name not in partitions:
                raise unknown_name("partition as executor.partition", name, partitions)
        nodes = set(_asked("sinfo", "--noheader", "--Node", "--format=%n").split())
        place = Path(os.path.realpath(study))
        own = next((folder for folder in _NODES_OWN if place.is_relative_to(folder)), None)
        if own is not None and nodes - {socket.gethostname(), socket.gethostname().partition(".")[0]}:
            raise InputError(
                f"the study's folder must be one that the nodes see too, got {study}: {own} is each machine's own. "
                "Give --out on a disk that they share."
            )

    def shown(self, folders: Sequence[Path], work: Work) -> str:
        """The script that would be handed over for these runs."""
        tasks, why = self._tasks(folders, work.study)
        return script(self.options, work, work.study / "slurm" / "TIME", max(1, len(tasks)), why)

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """Hand over what is neither queued nor running; wait for all where that was asked for.

        Raises:
            InputError: Slurm does not take it.
        """
        following = iter(folders)
        most = self.options.at_once if work.one_by_one else None

        def more(left: dict[Path, None]) -> None:
            """Hand over what follows: all, or as many as may run at a time."""
            runs: list[Path] = []
            while (most is None or len(left) + len(runs) < most) and (run := next(following, None)) is not None:
                runs.append(run)
            if runs:
                self._hand_over(runs, work)
                left.update(dict.fromkeys(runs))

        if self.waits:
            yield from _waited(more, work)
        else:
            more({})

    def _hand_over(self, runs: Sequence[Path], work: Work) -> None:
        """Submit those that are neither queued nor running."""
        queued = _queued(read_submissions(work.study))
        fresh = [run for run in runs if _name(run, work.study) not in queued and holder_of(run) is None]
        if fresh:
            self._submit(fresh, work)
        if len(fresh) < len(runs):
            work.tell(f"{len(runs) - len(fresh)} runs are queued or running already")

    def _submit(self, runs: Sequence[Path], work: Work) -> None:
        tasks, why = self._tasks(runs, work.study)
        if why:
            work.tell(why)
        folder = new_folder(work.study)
        write_submission(folder, script(self.options, work, folder, len(tasks), why), tasks)
        told = _asked("sbatch", "--parsable", str(folder / "script.sh"))
        job = told.strip().partition(";")[0]
        if not job.isdecimal():
            raise InputError(f"sbatch must tell the number of the job, got {told!r}.")
        write_job(folder, job)
        in_tasks = "" if len(tasks) == len(runs) else f" in {len(tasks)} tasks"
        plural = "s" * (len(runs) > 1)
        work.tell(f"job {job}: {len(runs)} run{plural}{in_tasks}, handed to Slurm by {folder / 'script.sh'}")

    def _tasks(self, runs: Sequence[Path], study: Path) -> tuple[list[list[str]], str]:
        """The runs of each task, in their order: seed by seed, so that the first tasks complete pairs.

        Returns:
            They, and why they are so many a task where nobody has said how many.
        """
        names = [_name(run, study) for run in runs]
        most = _longest_array()
        least = -(-len(names) // most)
        each, why = self.options.runs_per_task or least, ""
        if self.options.runs_per_task is None and names:
            seconds = mean_seconds(study)
            wanted = most_runs_a_task(seconds, len(names))
            if seconds is not None and wanted > each:
                each, why = wanted, f"{wanted} runs a task, since those that have ended took {seconds:.2g} s each"
        tasks = [names[first : first + each] for first in range(0, len(names), each)]
        if len(tasks) > most:
            raise InputError(
                f"executor.runs_per_task must be at least {least} for {len(names)} runs, since the cluster's arrays "
                f"have {most} tasks at most, got {each}."
            )
        return tasks, why


def cancel(study: Path) -> list[str]:
    """Cancel all that a study has in the queue.

    Returns:
        The jobs that still had tasks there.

    Raises:
        InputError: Slurm does not answer.
    """
    there = [submission for submission in read_submissions(study) if _tasks_in_queue(submission.job)]
    if there:
        _asked("scancel", *(submission.job for submission in there))
    return [submission.job for submission in there]


def _waited(more: Callable[[dict[Path, None]], None], work: Work) -> Iterator[Path]:
    """Each run when it has ended; at last those for which nothing is to come any more.

    Args:
        more: Adds those that were handed over, whenever all that have ended were yielded.
        work: What is the same in all.
    """
    left: dict[Path, None] = {}
    held: set[str] = set()
    look_at_queue, empty_since = time.monotonic() + _QUEUE_SECONDS, None
    try:
        more(left)
        while left:
            began = time.monotonic()
            ended = [run for run in left if has_ended(run)]
            for run in ended:
                del left[run]
                yield run
            if ended:
                more(left)
            if left and time.monotonic() > look_at_queue:
                look_at_queue = time.monotonic() + _QUEUE_SECONDS
                submissions = read_submissions(work.study)
                coming = _is_coming(left, work.study, submissions)
                for task, reason in _held(submissions).items():
                    if task not in held:
                        held.add(task)
                        work.tell(f"task {task} is held by Slurm ({reason}): scontrol release {task} lets it go on")
                empty_since = None if coming or ended else empty_since or time.monotonic()
                if empty_since is not None and time.monotonic() > empty_since + _SETTLE_SECONDS:
                    work.tell(
                        f"{len(left)} runs are in the queue no more and have neither result nor failure: they were "
                        f"cancelled, or the nodes cannot see {work.study} or {os.path.dirname(os.__file__)}. What they "
                        f"printed is in {work.study / 'slurm'}. The same command hands them over again."
                    )
                    yield from left
                    return
            time.sleep(max(_LOOK_SECONDS, 5 * (time.monotonic() - began)) if left else 0)
    except (KeyboardInterrupt, signals.PreemptedError):
        study = shlex.quote(str(work.study))
        work.tell(f"the jobs go on: truelift status {study} shows them, truelift cancel {study} ends them")
        raise


def _is_coming(runs: Iterable[Path], study: Path, submissions: Sequence[Submission]) -> bool:
    """Whether one of the runs is queued or has a holder; True while Slurm does not answer."""
    try:
        queued = _queued(submissions)
    except InputError:
        return True
    return any(_name(run, study) in queued or holder_of(run) is not None for run in runs)


def _held(submissions: Sequence[Submission]) -> dict[str, str]:
    """The tasks that wait for somebody to release them, with Slurm's reason; none while it does not answer.

    So Slurm holds a task that it could not start, or that it has queued again too often.
    """
    jobs = ",".join(submission.job for submission in submissions)
    try:
        told = _asked("squeue", "--noheader", "--array", f"--jobs={jobs}", "--states=PENDING", "--format=%F_%K %r")
    except InputError:
        return {}
    lines = (line.strip().partition(" ") for line in told.splitlines())
    return {task: why for task, _, why in lines if "held" in why.lower() or "hold" in why.lower()}


def _queued(submissions: Iterable[Submission]) -> set[str]:
    """The runs whose tasks are in the queue, waiting or running."""
    found: set[str] = set()
    for submission in submissions:
        for task in _tasks_in_queue(submission.job):
            if task < len(submission.tasks):
                found |= set(submission.tasks[task])
    return found


def _tasks_in_queue(job: str) -> list[int]:
    """The numbers of an array's tasks that are in the queue; a job that is long over is unknown there."""
    try:
        told = _asked("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%K")
    except InputError as error:
        if "nvalid job id" in str(error):
            return []
        raise
    return [int(word) for word in told.split() if word.isdecimal()]


def _longest_array() -> int:
    """How many tasks an array may have."""
    for line in _asked("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdecimal():
            return max(1, int(value))
    return 1001  # Slurm's default


def _asked(*command: str) -> str:
    """What one of Slurm's commands prints.

    Raises:
        InputError: It is not there, fails, or does not answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except FileNotFoundError:
        raise InputError(f"executor slurm needs {command[0]} on the path.") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"Slurm does not answer: {command[0]} took more than {_ANSWER_SECONDS:.0f} s.") from None
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
        raise InputError(f"Slurm refuses: {told}.")
    return done.stdout


def _name(run: Path, study: Path) -> str:
    """A run as tasks.json names it."""
    return run.relative_to(study).as_posix()
