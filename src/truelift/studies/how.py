"""How a study is run, and what shows to be wrong with that, or with its folder, before its seeds are known."""

from dataclasses import dataclass
from pathlib import Path

from truelift.errors import check_seconds
from truelift.records.locks import check_folder
from truelift.studies.executors.base import Executor
from truelift.studies.executors.local import Local
from truelift.studies.held import check_text, refuse_other, source_from
from truelift.studies.plan import StudyPlan
from truelift.studies.shares import shares_for


@dataclass(frozen=True, kw_only=True)
class How:
    """How a study is run."""

    jobs: int | None = None
    """Processes at a time, at least 1; None: one a GPU or, without, one a core."""
    checkpoint_seconds: float = 30.0
    """Time between a run's checkpoints, at least 0."""
    retries: int = 0
    """How many times a run whose process was killed is tried again, from its checkpoint."""
    executor: Executor | None = None
    """What runs them; None: processes of this machine's, to which jobs and retries apply."""


def check_study(plan: StudyPlan, folder: Path, how: How) -> Executor:
    """Refuse what shows before the seeds are known, no data loaded and nothing written.

    Args:
        plan: As for `run_study`.
        folder: The study's.
        how: It is run.

    Returns:
        What runs it: the executor, or this machine's processes.

    Raises:
        InputError: Something of `how` is out of its range, a device is not there, the folder cannot be one, or is
            another study's, or a name is not UTF-8.
    """
    check_seconds("checkpoint_seconds", how.checkpoint_seconds)
    check_folder(folder)
    check_text([plan.name, str(folder), source_from(folder, plan.source), source_from(folder, Path())])
    refuse_other(folder, plan.source, plan.scale, None)
    if how.executor is not None:
        return how.executor
    shares = shares_for(plan.runs(), how.jobs)
    return Local(shares.jobs, shares.threads, shares.gpus, how.retries)
