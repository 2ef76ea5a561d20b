"""Run a study: check everything first, then run what is not done yet."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from truelift.errors import InputError
from truelift.records import Run, Study
from truelift.studies.again import Failures, tried_again
from truelift.studies.clocks import times_that_mislead
from truelift.studies.executors.base import Work
from truelift.studies.executors.local import Local
from truelift.studies.first_results import FirstResults
from truelift.studies.folders import fingerprints_of, names_of
from truelift.studies.growing import Decide, Growing
from truelift.studies.held import told_of_other
from truelift.studies.how import How
from truelift.studies.longest_first import LongestFirst
from truelift.studies.plan import StudyPlan
from truelift.studies.preflight import Looked, check, look
from truelift.studies.shares import within_memory
from truelift.studies.taken_up import take_up
from truelift.studies.written import make_ready, write_plan


class Watcher(Protocol):
    """Shows how a study goes while it runs."""

    def begin(self, runs: Sequence[Run], pending: Sequence[Path], jobs: int) -> None:
        """Runs are about to start: all of the study, the folders of those that are not finished, how many at a time."""
        ...

    def begun(self, folder: Path) -> None:
        """A run has started."""
        ...

    def ended(self, folder: Path) -> None:
        """A run has ended."""
        ...


def run_study(
    plan: StudyPlan,
    folder: Path,
    how: How,
    *,
    repeat: str,
    report_run: Callable[[Run, int, int], None],
    warn: Callable[[str], None],
    tell: Callable[[str], None] = print,
    decide: Decide | None = None,
    watcher: Watcher | None = None,
) -> Study:
    """Run what is not done yet and return the study's records.

    Args:
        plan: From `read_plan`.
        folder: The study's; made where it is missing.
        how: It is run.
        repeat: The command that repeats the study.
        report_run: Told of each run that has ended, how many have, and how many there are: of a study until decided at
            most, as it stands.
        warn: Told what is wrong with the records that are there, and what is done about it.
        tell: Told which variant needs no more seeds, and why.
        decide: Judges what is there of a study until decided; a plan with looks needs it.
        watcher: Shows how it goes meanwhile, where this machine's processes run it.

    Raises:
        InputError: Bad input, found before anything is written; or the folder holds another study; or the first results
            lack the metric, or do not tell their scale.
    """
    executor, runs, record, pending = check(plan, folder, how, repeat=repeat)
    fingerprints, failures = fingerprints_of(runs), Failures()

    @functools.cache
    def looked() -> Looked:
        """Once, and of a study until decided not before it is known that a run is needed."""
        found = look(plan, executor)
        for line in found.told:
            tell(line)
        return found

    def prepare(path: Path) -> None:
        looked()
        make_ready(path, runs[path], fingerprints, plan.metric.name, warn, failures)

    if pending and (plan.looks is None or not (folder / "study.json").exists()):
        seen = looked()
        if isinstance(executor, Local):
            asked = how.jobs is not None or how.executor is not None
            executor = within_memory(executor, runs, pending, seen.needs, asked=asked, tell=tell, warn=warn)
            for misleading in times_that_mislead(plan, executor, seen.unrecorded):
                warn(misleading)
    write_plan(plan, folder, record, runs, pending, warn)
    for line in take_up(runs, pending, plan.metric.name):
        tell(line)
    first = FirstResults(plan, runs, pending)
    of_runs = names_of(runs)
    order: LongestFirst | Growing
    with _put_back(failures):
        if plan.looks is None:
            waiting = [Run(*of_runs[path], path) for path in pending]
            for line in tried_again([run for run in waiting if run.status == "failed"]):
                tell(line)
            for path in pending:
                prepare(path)
            order = LongestFirst(of_runs, pending)
        else:
            assert decide is not None, "a plan with looks is judged while it grows"
            order = Growing(folder, of_runs, pending, decide=decide, prepare=prepare, tell=tell, failures=failures)
    work = Work(folder, how.checkpoint_seconds, plan.metric.name, tell, one_by_one=plan.looks is not None)
    if not isinstance(executor, Local):
        watcher = None
    elif watcher is not None:
        watcher.begin([Run(*run, path, fingerprints) for path, run in of_runs.items()], pending, executor.jobs)
        work = replace(work, begun=watcher.begun)
    running = executor.run(first.unless_wrong(order.folders()), work)
    with _put_back(failures), contextlib.closing(running):  # the workers end whatever ends this
        for path in running:
            if watcher is not None:
                watcher.ended(path)
            run = Run(*of_runs[path], path)
            first.ended(run)
            settled: list[str] = []
            with contextlib.suppress(*(() if first.wrong is None else (InputError,))):  # which would say so too
                settled = order.ended(path)
            report_run(run, order.runs_ended, order.runs_at_most)
            for line in settled:
                tell(line)
        if first.wrong is not None and (order.runs_ended < order.runs_at_most or not _any_done(of_runs, pending)):
            raise InputError(first.wrong)
    found = Study.read(folder)
    if (other := told_of_other(found, runs, record)) is not None:
        warn(other)
    return found


@contextlib.contextmanager
def _put_back(failures: Failures) -> Iterator[None]:
    """Where runs that failed are not tried again after all, they say so again, and why."""
    try:
        yield
    except (InputError, OSError):
        failures.put_back()
        raise


def _any_done(runs: Mapping[Path, tuple[str, int]], folders: Iterable[Path]) -> bool:
    """Whether one of these runs has a result by now."""
    return any(Run(*runs[path], path).status == "done" for path in folders)
