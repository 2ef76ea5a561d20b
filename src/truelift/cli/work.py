"""`truelift work`."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.say import warn
from truelift.errors import InputError, check_seconds, unknown_name, whole
from truelift.processes import available_cores
from truelift.records import Run, Study, leased, make_room
from truelift.records.locks import InUseError
from truelift.studies.again import tried_again
from truelift.studies.executors import Work
from truelift.studies.executors.local import Local
from truelift.studies.executors.submissions import read_tasks


def work(
    folder: Annotated[Path, Parameter(name="folder")],
    /,
    *,
    runs: str | None = None,
    tasks: Path | None = None,
    task: int | None = None,
    jobs: int = 1,
    threads: int | None = None,
    checkpoint_seconds: float = 30.0,
    retries: int = 0,
) -> int:
    """Make runs of a study that truelift study has planned, beside others who do the same, on any machine.

    Args:
        folder: The study's folder.
        runs: Folders of runs as in study.json, separated by commas; those that failed are tried again. Default: all
            that have neither a result nor failed.
        tasks: A file with lists of such folders, of which --task names one.
        task: Its number, from 0.
        jobs: Runs at a time.
        threads: CPU threads of each. Default: the cores divided by the number of runs.
        checkpoint_seconds: Seconds between a run's checkpoints.
        retries: How many times a run whose process was killed is tried again, from its checkpoint.
    """
    whole("jobs", jobs, 1, 1024)
    whole("threads", 1 if threads is None else threads, 1, 4096)
    whole("retries", retries, 0, 1000)
    check_seconds("checkpoint_seconds", checkpoint_seconds)
    os.environ.setdefault("TRUELIFT_EXECUTOR", "work")
    study = Study.read(folder)
    by_folder = {run.folder.relative_to(folder).as_posix(): run for run in study.runs}
    names = _named(runs, tasks, task)
    if names is None:
        if study.plan["until_decided"] is not None:
            raise InputError("runs must be given of a study until decided, where each depends on those before.")
        names = [name for name, run in by_folder.items() if run.status == "unfinished"]
    for name in names:
        if name not in by_folder:
            raise unknown_name("run", name, by_folder)
        if not (folder / name / "config.toml").exists():
            raise InputError(f"{folder / name} has no config.toml: truelift study makes it ready first.")
    chosen = [by_folder[name].folder for name in names]
    here = Local(jobs, threads or max(1, available_cores() // jobs), retries=retries)
    if not chosen:
        count = sum(run.status == "failed" for run in study.runs)
        left_out = (
            f"; {count} failed, which truelift study tries again, and --runs where it names them" if count else ""
        )
        print(f"no run of this study is waiting{left_out}: truelift status says how far it is")
    if runs is not None:
        _try_again([by_folder[name] for name in names], until_decided=study.plan["until_decided"] is not None)
    for name in names:
        _make_room(by_folder[name])
    failed = False
    for number, path in enumerate(here.run(chosen, Work(folder, checkpoint_seconds, study.plan["metric"])), start=1):
        run = replace(by_folder[path.relative_to(folder).as_posix()])  # its status is another by now
        failed |= run.status != "done"
        outcome = f"failed: {run.failure()['reason']}" if run.status == "failed" else run.status
        print(f"[{number}/{len(chosen)}] {run.variant} seed {run.seed}: {outcome}", flush=True)
    return int(failed)


def _try_again(named: Sequence[Run], *, until_decided: bool) -> None:
    """Have the runs among these that failed not have ended; one that diverged has its result, and would again.

    Raises:
        InputError: Verdicts of a study until decided may rest on them.
    """
    failed = [run for run in named if run.status == "failed" and not run.failure().get("diverged")]
    if failed and until_decided:
        raise InputError(
            f"runs must name none that failed of a study until decided, got {failed[0].folder}: truelift study tries "
            "again those on which no verdict rests."
        )
    for line in tried_again(failed):
        print(line, flush=True)
    for run in failed:
        with contextlib.suppress(InUseError), leased(run.folder, briefly=True):  # who has it tries it again
            (run.folder / "failure.json").unlink(missing_ok=True)


def _make_room(run: Run) -> None:
    """Set aside a result that says nothing of this run, with a word, unless another process has it."""
    if run.status != "unfinished" or not os.path.lexists(run.folder / "result.json"):
        return
    with contextlib.suppress(InUseError), leased(run.folder, briefly=True):
        if replace(run).status == "unfinished":
            for line in make_room(run.folder):
                warn(line)


def _named(runs: str | None, tasks: Path | None, task: int | None) -> list[str] | None:
    """The runs that were asked for; none where nothing was said."""
    if (tasks is None) != (task is None) or (tasks is not None and runs is not None):
        raise InputError("tasks and task must be given together, and without runs.")
    if tasks is None or task is None:
        return None if runs is None else [name for name in runs.split(",") if name]
    lists = read_tasks(tasks)
    whole("task", task, 0, len(lists) - 1)
    return list(lists[task])
