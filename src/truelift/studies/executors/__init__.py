"""What runs a study: a file each, chosen by name."""

from pathlib import Path

from truelift.errors import InputError
from truelift.studies.executors.base import Cluster, Executor, Work
from truelift.studies.executors.options import CLUSTERS, EXECUTORS, ExecutorOptions, executor_options

__all__ = [
    "CLUSTERS",
    "EXECUTORS",
    "Cluster",
    "Executor",
    "ExecutorOptions",
    "Work",
    "cancel_all",
    "cluster_of",
    "executor_options",
]


def cluster_of(options: ExecutorOptions, *, wait: bool) -> Cluster | None:
    """The cluster that a user has asked for; none where this machine's processes run the study.

    Args:
        options: Of the executor.
        wait: Whether the command shall wait, where it need not.

    Raises:
        InputError: There is nothing that it could wait for.
    """
    if options.name == "slurm":
        from truelift.studies.executors.slurm import Slurm

        return Slurm(options, wait)
    if wait:
        raise InputError("wait needs --executor slurm.")
    if options.name == "ray":
        from truelift.studies.executors.ray import Ray

        return Ray(options)
    return None


def cancel_all(study: Path) -> list[str]:
    """End what a study has in a scheduler's queue or hands; a sentence for each."""
    told = []
    if any(study.glob("slurm/*/job.json")):
        from truelift.studies.executors import slurm

        told += [f"job {job} is cancelled" for job in slurm.cancel(study)]
    if any(study.glob("ray/*")):
        from truelift.studies.executors import ray

        told += [f"process {by.process} on {by.host} is told to end its tasks" for by in ray.cancel(study)]
    return told
