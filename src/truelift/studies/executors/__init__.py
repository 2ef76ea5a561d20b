"""What runs a study: a file each, chosen by name."""

from pathlib import Path

from truelift.studies.executors.base import Executor, Work
from truelift.studies.executors.options import EXECUTORS, ExecutorOptions, executor_options

__all__ = ["EXECUTORS", "Executor", "ExecutorOptions", "Work", "cancel_jobs", "executor_options"]


def cancel_jobs(study: Path) -> list[str]:
    """Cancel what a study has in a scheduler's queue; the jobs' numbers."""
    from truelift.studies.executors.slurm import cancel

    return cancel(study) if any(study.glob("slurm/*/job.json")) else []
