"""Run a study: check everything first, then run what is not done yet."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import tomli_w

from truelift.data import Splits
from truelift.errors import InputError, check_seconds, named, whole
from truelift.processes import available_cores
from truelift.records import (
    Run,
    Study,
    begin_folder,
    earlier_plans,
    leased,
    make_room,
    now,
    write_json,
)
from truelift.records.config_file import write_config_file
from truelift.records.locks import InUseError, check_folder
from truelift.records.own_result import is_own
from truelift.records.predicted import metric_of
from truelift.records.run import fingerprint_of
from truelift.studies.again import Failures, tried_again
from truelift.studies.clocks import times_that_mislead
from truelift.studies.edited import edited
from truelift.studies.executors.base import Executor, Work
from truelift.studies.executors.local import Local
from truelift.studies.growing import Decide, Growing
from truelift.studies.held import check_text, refuse_other, source_from, told_of_other
from truelift.studies.longest_first import LongestFirst
from truelift.studies.measured import refuse_unmeasured
from truelift.studies.need import Need, need_of, need_of_programs
from truelift.studies.plan import PlannedRun, StudyPlan
from truelift.studies.room import Room, room_for
from truelift.studies.sources import check_inputs, check_program
from truelift.training import afterwards
from truelift.training.build import assemble, load_data
from truelift.training.cautions import cautions
from truelift.training.data_changes import OtherData
from truelift.training.experiment import Experiment
from truelift.training.hardware import pick_device, threads_of, visible_gpus
from truelift.training.identity import differences, find_folder, fingerprint
from truelift.training.settings import to_dict

MOST_JOBS = 1024
"""Each is a process that loads torch and its data."""

_WAIT_SECONDS = 30.0
"""How long another command may write this study's plan."""


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


@dataclass(frozen=True)
class Shares:
    """How the machine is shared out."""

    jobs: int
    threads: int
    gpus: tuple[str, ...]

    @classmethod
    def of_machine(cls, jobs: int | None, gpus: tuple[str, ...]) -> "Shares":
        """By default a process a GPU, or a core without: small networks use two cores best as two runs."""
        cores = available_cores()
        if jobs is None:
            jobs = len(gpus) or cores
        return cls(jobs, max(1, cores // jobs), gpus)

    def within(self, room: Room | None, pending: int, *, asked: bool) -> tuple["Shares", str | None]:
        """As many processes as memory has room for, and a sentence where these are fewer than there would be.

        Args:
            room: The memory of which there is the least; None where nothing is known of it.
            pending: Runs that are to come.
            asked: Whether somebody asked for so many, who has them then.
        """
        if room is None:
            return self, None
        at_a_time = min(self.jobs, pending)
        line = room.said(at_a_time, asked=asked)
        fewer = not asked and room.fits < at_a_time
        return Shares.of_machine(room.fits, self.gpus) if fewer else self, line


def shares_for(runs: Iterable[PlannedRun], jobs: int | None) -> Shares:
    """How the machine is shared out among these runs.

    Args:
        runs: Of a study.
        jobs: At a time, at least 1; None: as many as the machine is made for.

    Raises:
        InputError: A number that cannot be, or a device is not there.
    """
    if jobs is not None:
        whole("jobs", jobs, 1, MOST_JOBS)
    # A program of the user's takes a GPU as it finds one; a device with a number is somebody's choice.
    devices = {"cuda" if run.experiment is None else pick_device(run.experiment.device) for run in runs}
    return Shares.of_machine(jobs, visible_gpus() if devices == {"cuda"} else ())


class Looked(NamedTuple):
    """What `preflight` has found."""

    told: list[str]
    """A sentence for each data set: its classes, the sizes of its sets, and where one test image is worth more than the
    effect that matters; and one for each caution about a variant's training."""
    needs: dict[str, Need]
    """What memory a run takes, by variant, of those that train and as far as it is known."""
    unrecorded: dict[str, str]
    """Why each variant's steps are not recorded as CUDA graphs, of those that train; empty where they are."""


def check_study(
    plan: StudyPlan,
    folder: Path,
    *,
    jobs: int | None = None,
    checkpoint_seconds: float = 30.0,
    retries: int = 0,
    executor: Executor | None = None,
) -> Executor:
    """Refuse what shows before the seeds are known, no data loaded and nothing written.

    Args:
        plan: As for `run_study`, as all others.
        folder: The study's.
        jobs: Processes at a time.
        checkpoint_seconds: Time between a run's checkpoints.
        retries: How often a run whose process was killed is tried again.
        executor: What runs them.

    Returns:
        What runs them: the executor, or this machine's processes.

    Raises:
        InputError: An argument is out of its range, a device is not there, the folder cannot be one, or is another
            study's, or a name is not UTF-8.
    """
    check_seconds("checkpoint_seconds", checkpoint_seconds)
    check_folder(folder)
    check_text([plan.name, str(folder), source_from(folder, plan.source), source_from(folder, Path())])
    refuse_other(folder, plan.source, plan.scale, None)
    if executor is not None:
        return executor
    shares = shares_for(plan.runs(), jobs)
    return Local(shares.jobs, shares.threads, shares.gpus, retries)


def look(plan: StudyPlan, executor: Executor) -> Looked:
    """All that can be seen of a plan here, before anything is written, as the executor's runs will have it.

    Raises:
        InputError: As `preflight`, or a program is not there; where the runs are made elsewhere, a path.
    """
    if not isinstance(executor, Local):  # this machine may be none to load data on
        check_paths(plan)
        return Looked([], {}, {})
    for variant in plan.variants:
        if variant.program is not None:
            check_program(variant.program.command)
    with threads_of(executor.threads):  # what is fitted and kept is then what the runs would fit
        return preflight(plan)


def preflight(plan: StudyPlan) -> Looked:
    """Load each data set once and put each variant together, so that bad input shows before anything is written.

    Raises:
        InputError: The data cannot be had, a variant's network does not fit it, or its runs will not have what they are
            judged by.
    """
    judged = (plan.metric.name, *(guard.metric.name for guard in plan.guards))
    loaded: dict[str, Splits] = {}
    told: list[str] = []
    needs: dict[str, Need] = {}
    unrecorded: dict[str, str] = {}
    for variant in plan.variants:
        if variant.program is not None:
            check_inputs(variant.program.inputs)
        if variant.command is None:
            experiment = plan.experiment(variant, plan.seeds[0])
            tables = to_dict(experiment)
            key = fingerprint([tables.get(group) for group in ("data", "tasks")])
            if key not in loaded:
                loaded[key] = load_data(experiment)
                told += _about(loaded[key], plan)
            with named(f'variant "{variant.name}"'):
                refuse_unmeasured(judged, variant.name, experiment, loaded[key])
                afterwards.build(
                    experiment.probe, experiment.detection, experiment.metrics, experiment.data, loaded[key]
                )
                training = assemble(experiment, loaded[key])
            told += cautions(training, loaded[key])
            unrecorded[variant.name] = training.graph_why
            if (need := need_of(training, loaded[key])) is not None:
                needs[variant.name] = need
    return Looked(list(dict.fromkeys(told)), needs, unrecorded)


def _about(splits: Splits, plan: StudyPlan) -> list[str]:
    sizes = [f"{len(splits.train):,} training"]
    sizes += [] if splits.validation is None else [f"{len(splits.validation):,} validation"]
    skipped = f"; {splits.skipped_images:,} more could not be read and are left out" if splits.skipped_images else ""
    told = [f"{len(splits.classes):,} classes; {', '.join(sizes)} and {len(splits.test):,} test images{skipped}"]
    step, matters = plan.metric.resolution(len(splits.test)), plan.smallest_effect
    if step > matters > 0:
        told.append(
            f"one test image is {step:.2g} points of {plan.metric.label}, more than the {matters:g} that matter: "
            "more test images are needed, whatever the number of seeds"
        )
    return told


def run_study(
    plan: StudyPlan,
    folder: Path,
    *,
    repeat: str,
    report_run: Callable[[Run, int, int], None],
    warn: Callable[[str], None],
    tell: Callable[[str], None] = print,
    decide: Decide | None = None,
    watcher: Watcher | None = None,
    jobs: int | None = None,
    checkpoint_seconds: float = 30.0,
    retries: int = 0,
    executor: Executor | None = None,
) -> Study:
    """Run what is not done yet and return the study's records.

    Args:
        plan: From `read_plan`.
        folder: The study's; made where it is missing.
        repeat: The command that repeats the study.
        report_run: Told of each run that has ended, how many have, and how many there are: of a study until decided at
            most, as it stands.
        warn: Told what is wrong with the records that are there, and what is done about it.
        tell: Told which variant needs no more seeds, and why.
        decide: Judges what is there of a study until decided; a plan with looks needs it.
        watcher: Shows how it goes meanwhile, where this machine's processes run it.
        jobs: Processes at a time, at least 1; by default one a GPU or, without, one a core.
        checkpoint_seconds: Time between a run's checkpoints, at least 0.
        retries: How many times a run whose process was killed is tried again, from its checkpoint.
        executor: What runs them; by default processes of this machine's, to which jobs and retries apply.

    Raises:
        InputError: Bad input, found before anything is written; or the folder holds another study.
    """
    chosen = check_study(
        plan, folder, jobs=jobs, checkpoint_seconds=checkpoint_seconds, retries=retries, executor=executor
    )
    runs = by_folder(plan, folder)
    record = _record(plan, folder, runs, repeat)
    pending = pending_of(plan, runs)
    refuse_other_data(runs, pending)
    fingerprints, failures = _fingerprints(runs), Failures()
    if pending:
        chosen.check(folder, one_by_one=plan.looks is not None)

    @functools.cache
    def looked() -> Looked:
        """Once, and of a study until decided not before it is known that a run is needed."""
        found = look(plan, chosen)
        for line in found.told:
            tell(line)
        return found

    def prepare(path: Path) -> None:
        looked()
        _make_ready(path, runs[path], fingerprints, plan.metric.name, warn, failures)

    if pending and (plan.looks is None or not (folder / "study.json").exists()):
        seen = looked()
        if isinstance(chosen, Local):
            asked = jobs is not None or executor is not None
            chosen = _within_memory(chosen, runs, pending, seen.needs, asked=asked, tell=tell, warn=warn)
            for misleading in times_that_mislead(plan, chosen, seen.unrecorded):
                warn(misleading)
    _write_plan(plan, folder, record, runs, pending, warn)
    of_runs = _names(runs)
    growing, order = None, LongestFirst(of_runs, pending)
    if plan.looks is None:
        waiting = [Run(*of_runs[path], path) for path in pending]
        for line in tried_again([run for run in waiting if run.status == "failed"]):
            tell(line)
        for path in pending:
            prepare(path)
    else:
        assert decide is not None, "a plan with looks is judged while it grows"
        growing = Growing(folder, of_runs, pending, decide=decide, prepare=prepare, tell=tell, failures=failures)
    work = Work(folder, checkpoint_seconds, plan.metric.name, tell, one_by_one=growing is not None)
    if not isinstance(chosen, Local):
        watcher = None
    elif watcher is not None:
        watcher.begin([Run(*run, path, fingerprints) for path, run in of_runs.items()], pending, chosen.jobs)
        work = replace(work, begun=watcher.begun)
    running = chosen.run((growing or order).folders(), work)
    with contextlib.closing(running), _refused(failures, chosen):  # the workers end whatever ends this
        for ended, path in enumerate(running, start=len(runs) - len(pending) + 1):
            run = Run(*of_runs[path], path)
            if watcher is not None:
                watcher.ended(path)
            if growing is None:
                order.ended(path)
                report_run(run, ended, len(runs))
            else:
                settled = growing.ended(path)
                report_run(run, growing.runs_ended, growing.runs_at_most)
                for line in settled:
                    tell(line)
    found = Study.read(folder)
    if (other := told_of_other(found, runs)) is not None:
        warn(other)
    return found


@contextlib.contextmanager
def _refused(failures: Failures, executor: Executor) -> Iterator[None]:
    """Where a cluster does not take the runs, those that failed say so again, and why."""
    try:
        yield
    except (InputError, OSError):
        if not isinstance(executor, Local):
            failures.put_back()
        raise


def _record(plan: StudyPlan, folder: Path, runs: Mapping[Path, PlannedRun], repeat: str) -> dict[str, Any]:
    """What study.json is to have, but for earlier plans.

    Raises:
        InputError: The folder holds another study, or this one planned otherwise; or a name in it is not UTF-8.
    """
    places = {run.folder: path.relative_to(folder).as_posix() for path, run in runs.items()}
    record = plan.record(repeat, now(), places)
    record |= {"source": source_from(folder, plan.source), "started_in": source_from(folder, Path())}
    check_text(record)
    refuse_other(folder, plan.source, plan.scale, list(places.values()))
    earlier_plans(folder, record)
    return record


def check_record(plan: StudyPlan, folder: Path) -> None:
    """Refuse what `run_study` would before it writes anything, once the seeds are known.

    Raises:
        InputError: The folder holds another study, or this one planned otherwise; or a name in it is not UTF-8.
    """
    _record(plan, folder, by_folder(plan, folder), "")


def _write_plan(
    plan: StudyPlan,
    folder: Path,
    record: Mapping[str, Any],
    runs: Mapping[Path, PlannedRun],
    pending: Sequence[Path],
    warn: Callable[[str], None],
) -> None:
    """Write study.json, unless another command has made the folder another study's meanwhile."""
    with leased(folder, wait_seconds=_WAIT_SECONDS):
        places = [run["folder"] for run in record["runs"]]
        for line in (refuse_other(folder, plan.source, plan.scale, places), *edited(runs, pending)):
            if line is not None:
                warn(line)
        write_json(folder / "study.json", {**record, "earlier": earlier_plans(folder, record)})


def _make_ready(
    path: Path,
    planned: PlannedRun,
    fingerprints: frozenset[str],
    metric: str,
    warn: Callable[[str], None],
    failures: Failures,
) -> None:
    """Give a run's folder its config.toml, and set aside what is in its way; nothing where it is finished meanwhile."""
    config = tomli_w.dumps(planned.config)
    if begin_folder(path / "config.toml", config):
        return
    with contextlib.suppress(InUseError), leased(path, briefly=True):  # who has it has made it ready
        if is_finished(path, planned, fingerprints, metric):
            return
        for line in make_room(path):
            warn(line)
        failures.set_aside(path)
        write_config_file(path, config)


def unfinished(plan: StudyPlan, folder: Path) -> list[Path]:
    """The folders of the runs that have no result yet, of this study, in the order in which they are to run."""
    runs = by_folder(plan, folder)
    return list(LongestFirst(_names(runs), pending_of(plan, runs)).folders())


def by_folder(plan: StudyPlan, folder: Path) -> dict[Path, PlannedRun]:
    """The runs by their folders, seed by seed."""
    return {folder_of(folder, run): run for run in plan.runs()}


def _names(runs: Mapping[Path, PlannedRun]) -> dict[Path, tuple[str, int]]:
    """Their variants and seeds."""
    return {path: (run.variant, run.seed) for path, run in runs.items()}


def refuse_other_data(runs: Mapping[Path, PlannedRun], pending: Iterable[Path]) -> None:
    """Refuse finished runs that were trained on other data, or from other weights, than the plan names now.

    Args:
        runs: All of the plan, by their folders.
        pending: The folders of those that are not finished.

    Raises:
        InputError: Such a run; the message says what differs.
    """
    other, waiting = OtherData(), set(pending)
    for path, run in runs.items():
        experiment = None if path in waiting else run.experiment
        if experiment is not None and (told := other.of(path, experiment)) is not None:
            raise InputError(f"{path} {told}. Give this study another --out.")


def pending_of(plan: StudyPlan, runs: Mapping[Path, PlannedRun]) -> list[Path]:
    """The folders of those of a plan's runs that have no result yet."""
    fingerprints = _fingerprints(runs)
    return [path for path, run in runs.items() if not is_finished(path, run, fingerprints, plan.metric.name)]


def _fingerprints(runs: Mapping[Path, PlannedRun]) -> frozenset[str]:
    return frozenset(fingerprint_of(path.name) for path in runs)


def _within_memory(
    local: Local,
    runs: Mapping[Path, PlannedRun],
    pending: Sequence[Path],
    needs: Mapping[str, Need],
    *,
    asked: bool,
    tell: Callable[[str], None],
    warn: Callable[[str], None],
) -> Local:
    """As many processes as memory has room for; where somebody asked for more, these, and a warning.

    Args:
        local: What would be.
        runs: Of the study, by their folders.
        pending: The folders of those that are to run.
        needs: What runs of the variants take, as far as it is known.
        asked: Whether somebody asked for so many.
        tell: Told how many there will be.
        warn: Told that memory may run out.
    """
    wanted = {runs[path].variant for path in pending}
    known = [need for variant, need in {**need_of_programs(runs), **needs}.items() if variant in wanted]
    room = room_for(known, len(local.gpus))
    shares, line = Shares(local.jobs, local.threads, local.gpus).within(room, len(pending), asked=asked)
    if room is not None and line is not None:
        (warn if asked or room.takes > room.free else tell)(line)
    return replace(local, jobs=shares.jobs, threads=shares.threads)


def check_paths(plan: StudyPlan) -> None:
    """Look whether the data are where they should be, and load nothing.

    Raises:
        InputError: A path does not exist.
    """
    for variant in plan.variants:
        if variant.command is None:
            path = plan.experiment(variant, plan.seeds[0]).data.path
            if path is not None and not Path(path).exists():
                raise InputError(f'variant "{variant.name}": data.path must be an existing file or folder, got {path}.')


def is_finished(
    folder: Path, planned: PlannedRun, fingerprints: frozenset[str] = frozenset(), metric: str | None = None
) -> bool:
    """Whether a run's folder holds its result, and its config.toml says that it is this run.

    Divergence counts as a result: the run would diverge again. Without a config.toml, and of a user's program, the
    result itself must say so.

    Args:
        folder: The run's.
        planned: What it is to be.
        fingerprints: Of all runs of the study.
        metric: The one that the result of a user's program must have, or its predictions give.
    """
    run = Run(planned.variant, planned.seed, folder, fingerprints)
    if run.status == "failed" and planned.experiment is not None and run.failure().get("diverged"):
        return _is_experiment(folder, planned.experiment)
    if run.status != "done":
        return False
    if planned.experiment is None:
        if metric is not None and metric_of(run, metric) is None:
            return False
        return is_own(run.result(), planned.config)  # whatever config.toml a program has left
    if not (folder / "config.toml").exists():
        return run.result().get("fingerprint") == fingerprint(planned.identity)
    return _is_experiment(folder, planned.experiment)


def _is_experiment(folder: Path, experiment: Experiment) -> bool:
    try:
        return not differences(folder, experiment)
    except InputError:  # no config.toml, or none of an experiment's
        return False


def folder_of(study: Path, run: PlannedRun) -> Path:
    """Where a run of the study in this folder is, or shall be."""
    wanted = study / run.folder
    return wanted if run.experiment is None else find_folder(wanted, run.experiment)
