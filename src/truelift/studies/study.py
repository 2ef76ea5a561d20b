"""Run a study: check everything first, then run what is not done yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from truelift.records import Run, Study, locked, write_json, write_text
from truelift.studies.local import run_local
from truelift.studies.plan import StudyPlan
from truelift.training.assembly import assemble, load_data
from truelift.training.environment import now
from truelift.training.hardware import available_cores


@dataclass(frozen=True)
class Shares:
    """How the machine is shared out."""

    jobs: int
    threads: int

    @classmethod
    def of_machine(cls, jobs: int | None) -> "Shares":
        """One process a core by default: small networks use two cores best as two runs."""
        cores = available_cores()
        jobs = cores if jobs is None else jobs
        return cls(jobs, max(1, cores // jobs))


def preflight(plan: StudyPlan) -> None:
    """Load each data set once and put each variant together, so that bad input shows before anything is written.

    Raises:
        InputError: The data cannot be had, or a variant's network does not fit it.
    """
    loaded = {}
    for variant in plan.variants:
        if variant.command is None:
            experiment = plan.experiment(variant, plan.seeds[0])
            if experiment.data not in loaded:
                loaded[experiment.data] = load_data(experiment)
            assemble(experiment, loaded[experiment.data])


def run_study(
    plan: StudyPlan, folder: Path, *, repeat: str, jobs: int | None, report_run: Callable[[Run, int, int], None]
) -> Study:
    """Run what is not done yet and return the study's records.

    Args:
        plan: From `read_plan`.
        folder: The study's; made where it is missing.
        repeat: The command that repeats the study.
        jobs: Processes at a time; by default one a core.
        report_run: Told of each run that has ended, how many have, and how many there are.

    Raises:
        InputError: Bad input, found before anything is written; or another process runs this study.
    """
    runs = {folder / run.folder: run for run in plan.runs()}
    if all((path / "result.json").exists() for path in runs):
        pending = []
    else:
        preflight(plan)
        pending = [path for path in runs if not (path / "result.json").exists()]
    with locked(folder):
        write_json(folder / "study.json", plan.record(repeat, now()))
        for path in pending:
            write_text(path / "config.toml", tomli_w.dumps(runs[path].config))
        shares = Shares.of_machine(jobs)
        ended = len(runs) - len(pending)
        for path in run_local(pending, jobs=shares.jobs, threads=shares.threads):
            ended += 1
            report_run(Run(runs[path].variant, runs[path].seed, path), ended, len(runs))
    return Study.read(folder)
