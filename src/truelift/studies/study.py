"""Run a study: check everything first, then run what is not done yet."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from truelift.data import Splits
from truelift.errors import InputError
from truelift.records import Run, Study, locked, write_json, write_text
from truelift.studies.local import run_local
from truelift.studies.plan import PlannedRun, StudyPlan
from truelift.training import afterwards
from truelift.training.build import assemble, load_data
from truelift.training.environment import now
from truelift.training.hardware import available_cores, pick_device, visible_gpus
from truelift.training.identity import find_folder, fingerprint
from truelift.training.settings import to_dict


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


def preflight(plan: StudyPlan) -> None:
    """Load each data set once and put each variant together, so that bad input shows before anything is written.

    Raises:
        InputError: The data cannot be had, or a variant's network does not fit it.
    """
    loaded: dict[str, Splits] = {}
    for variant in plan.variants:
        if variant.command is None:
            experiment = plan.experiment(variant, plan.seeds[0])
            tables = to_dict(experiment)
            key = fingerprint([tables.get(group) for group in ("data", "tasks")])
            if key not in loaded:
                loaded[key] = load_data(experiment)
            afterwards.build(experiment.probe, experiment.detection, experiment.metrics, loaded[key])
            assemble(experiment, loaded[key])


def run_study(
    plan: StudyPlan,
    folder: Path,
    *,
    repeat: str,
    report_run: Callable[[Run, int, int], None],
    jobs: int | None = None,
    checkpoint_seconds: float = 30.0,
) -> Study:
    """Run what is not done yet and return the study's records.

    Args:
        plan: From `read_plan`.
        folder: The study's; made where it is missing.
        repeat: The command that repeats the study.
        report_run: Told of each run that has ended, how many have, and how many there are.
        jobs: Processes at a time, at least 1; by default one a GPU or, without, one a core.
        checkpoint_seconds: Time between a run's checkpoints, at least 0.

    Raises:
        InputError: Bad input, found before anything is written; or another process runs this study.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}.")
    if not checkpoint_seconds >= 0:
        raise InputError(f"checkpoint_seconds must be at least 0, got {checkpoint_seconds}.")
    runs = {_folder(folder, run): run for run in plan.runs()}
    pending = [path for path in runs if not (path / "result.json").exists()]
    if pending:
        preflight(plan)
    with locked(folder):
        found = {run.folder: path.relative_to(folder).as_posix() for path, run in runs.items()}
        write_json(folder / "study.json", plan.record(repeat, now(), found))
        for path in pending:
            write_text(path / "config.toml", tomli_w.dumps(runs[path].config))
        # A program of the user's takes a GPU as it finds one; a device with a number is somebody's choice.
        devices = {"cuda" if run.experiment is None else pick_device(run.experiment.device) for run in runs.values()}
        shares = Shares.of_machine(jobs, visible_gpus() if devices == {"cuda"} else ())
        running = run_local(
            pending,
            jobs=shares.jobs,
            threads=shares.threads,
            gpus=shares.gpus,
            checkpoint_seconds=checkpoint_seconds,
            metric=plan.metric.name,
        )
        with contextlib.closing(running):  # the workers end whatever ends this
            for ended, path in enumerate(running, start=len(runs) - len(pending) + 1):
                report_run(Run(runs[path].variant, runs[path].seed, path), ended, len(runs))
    return Study.read(folder)


def _folder(study: Path, run: PlannedRun) -> Path:
    """Where a run is, or shall be."""
    wanted = study / run.folder
    return wanted if run.experiment is None else find_folder(wanted, run.experiment)
