"""Where the runs of a study are, and which of them are finished."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from truelift.errors import InputError
from truelift.records import Run
from truelift.records.own_result import is_own
from truelift.records.predicted import metric_of
from truelift.records.run import fingerprint_of
from truelift.studies.command import metrics_file
from truelift.studies.plan import PlannedRun, StudyPlan
from truelift.studies.taken_up import missed_result
from truelift.training.data_changes import OtherData
from truelift.training.experiment import Experiment
from truelift.training.identity import differences, find_folder, fingerprint


def by_folder(plan: StudyPlan, folder: Path) -> dict[Path, PlannedRun]:
    """The runs by their folders, seed by seed."""
    return {folder_of(folder, run): run for run in plan.runs()}


def folder_of(study: Path, run: PlannedRun) -> Path:
    """Where a run of the study in this folder is, or shall be."""
    wanted = study / run.folder
    return wanted if run.experiment is None else find_folder(wanted, run.experiment)


def names_of(runs: Mapping[Path, PlannedRun]) -> dict[Path, tuple[str, int]]:
    """Their variants and seeds."""
    return {path: (run.variant, run.seed) for path, run in runs.items()}


def fingerprints_of(runs: Mapping[Path, PlannedRun]) -> frozenset[str]:
    """Of all runs of a study, by which a run knows its own folder."""
    return frozenset(fingerprint_of(path.name) for path in runs)


def pending_of(plan: StudyPlan, runs: Mapping[Path, PlannedRun]) -> list[Path]:
    """The folders of those of a plan's runs that have no result yet."""
    fingerprints = fingerprints_of(runs)
    return [path for path, run in runs.items() if not is_finished(path, run, fingerprints, plan.metric.name)]


def is_finished(
    folder: Path, planned: PlannedRun, fingerprints: frozenset[str] = frozenset(), metric: str | None = None
) -> bool:
    """Whether a run's folder holds its result, and its config.toml says that it is this run.

    Divergence counts as a result: the run would diverge again. So does what a program has left that failed only because
    the study named another metric. Without a config.toml, and of a user's program, the result itself must say so.

    Args:
        folder: The run's.
        planned: What it is to be.
        fingerprints: Of all runs of the study.
        metric: The one that the result of a user's program must have, or its predictions give.
    """
    run = Run(planned.variant, planned.seed, folder, fingerprints)
    if run.status == "failed" and planned.experiment is not None and run.failure().get("diverged"):
        return _is_experiment(folder, planned.experiment)
    if run.status == "failed" and planned.experiment is None and metric is not None:
        return missed_result(run, planned.config, metric) is not None
    if run.status != "done":
        return False
    if planned.experiment is None:
        if metric is not None and metric_of(run, metric) is None:
            return False
        if metrics_file(run.result()) != metrics_file(planned.config):
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
