"""What can be seen of a study before anything is written: data are loaded once, each variant is put together once."""

from pathlib import Path
from typing import Any, NamedTuple

from truelift.data import Splits
from truelift.errors import InputError, named
from truelift.studies.executors.base import Executor
from truelift.studies.executors.local import Local
from truelift.studies.first_results import FirstResults, refuse_finished_without
from truelift.studies.folders import by_folder, pending_of, refuse_other_data
from truelift.studies.how import How, check_study
from truelift.studies.measured import refuse_unmeasured
from truelift.studies.need import Need, need_of
from truelift.studies.plan import PlannedRun, StudyPlan
from truelift.studies.sources import check_inputs, check_program
from truelift.studies.written import record_of
from truelift.training import afterwards
from truelift.training.build import assemble, load_data
from truelift.training.cautions import cautions
from truelift.training.hardware import threads_of
from truelift.training.identity import fingerprint
from truelift.training.settings import to_dict


class Checked(NamedTuple):
    """A study of which nothing that shows before its data are loaded is wrong."""

    executor: Executor
    runs: dict[Path, PlannedRun]
    """All of the plan, by their folders."""
    record: dict[str, Any]
    """As `record_of`."""
    pending: list[Path]
    """The folders of those that are not finished."""


def check(plan: StudyPlan, folder: Path, how: How, *, repeat: str = "") -> Checked:
    """Refuse what a study refuses, and its dry run likewise: nothing is loaded, nothing written.

    Args:
        plan: The study's.
        folder: Its folder.
        how: It is run.
        repeat: The command that repeats the study.

    Raises:
        InputError: As `check_study`, `record_of` and `refuse_other_data`; a finished program has no such metric; what
            has ended does not tell its scale; or the executor cannot run it.
    """
    executor = check_study(plan, folder, how)
    runs = by_folder(plan, folder)
    record = record_of(plan, folder, runs, repeat)
    pending = pending_of(plan, runs)
    refuse_other_data(runs, pending)
    refuse_finished_without(plan, runs, pending)
    if (wrong := FirstResults(plan, runs, pending).wrong) is not None:
        raise InputError(wrong)
    if pending:
        executor.check(folder, one_by_one=plan.looks is not None)
    return Checked(executor, runs, record, pending)


class Looked(NamedTuple):
    """What `preflight` has found."""

    told: list[str]
    """A sentence for each data set: its classes, the sizes of its sets, and where one test image is worth more than the
    effect that matters; and one for each caution about a variant's training."""
    needs: dict[str, Need]
    """What memory a run takes, by variant, of those that train and as far as it is known."""
    unrecorded: dict[str, str]
    """Why each variant's steps are not recorded as CUDA graphs, of those that train; empty where they are."""


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


def check_paths(plan: StudyPlan) -> None:
    """Look whether the data, and a program's inputs, are where they should be, and load nothing.

    Raises:
        InputError: A path does not exist.
    """
    for variant in plan.variants:
        if variant.program is not None:
            check_inputs(variant.program.inputs)
        else:
            path = plan.experiment(variant, plan.seeds[0]).data.path
            if path is not None and not Path(path).exists():
                raise InputError(f'variant "{variant.name}": data.path must be an existing file or folder, got {path}.')


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
