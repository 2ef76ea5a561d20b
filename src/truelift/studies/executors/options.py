"""What a user can say about where a study runs: `--executor slurm --executor.partition gpu`, or in the study's file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

from truelift.errors import InputError, of_kind, unknown_name
from truelift.options import Conflict, In, Only, at_least, bare, check, hints, without_effect

CLUSTERS = ("slurm", "ray")
"""Executors whose runs are made elsewhere."""
EXECUTORS = ("local", *CLUSTERS)

_RAY, _SLURM, _CLUSTER = Only("name", "ray"), Only("name", "slurm"), Only("name", *CLUSTERS)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# What stands behind `#SBATCH --name=` on a line of its own.
_WORD = In("one word, without spaces or quotes", lambda value: bool(re.fullmatch(r"[\w.,:/@+%=&|*\[\]()!-]+", value)))
_DURATION = In(
    "a number with s, m, h or d, such as 90m or 4h", lambda value: bool(re.fullmatch("[1-9][0-9]{0,6}[smhd]", value))
)
_SIZE = In("a number with K, M, G or T, such as 16G", lambda value: bool(re.fullmatch("[1-9][0-9]{0,8}[KMGT]", value)))


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Where a study runs, and what its runs may have there."""

    name: Literal["local", "slurm", "ray"] = "local"
    """What runs the study: local, processes of this machine; slurm, a cluster's jobs; ray, a cluster's tasks."""

    retries: Annotated[int | None, at_least(0, 1000)] = None
    """How many times a run whose process was killed is tried again, from its checkpoint. Default: local 0, others 1."""

    address: Annotated[str | None, _WORD, _RAY] = None
    """ray: HOST:PORT of the cluster's head, or auto for the one that runs on this machine. Default: the environment's
    RAY_ADDRESS, or else a cluster of this machine alone, for this command."""

    working_dir: Annotated[str | None, _RAY] = None
    """ray: a folder that Ray copies to the nodes, where the runs then are. Default: the nodes see this one too."""

    runtime_env: Annotated[str | None, _RAY] = None
    """ray: a YAML or JSON file with Ray's runtime environment, as `ray job submit --runtime-env` takes it."""

    autoscales: Annotated[bool, _RAY] = False
    """ray: nodes are started on demand: a run may ask for more than any present node has."""

    partition: Annotated[str | None, _WORD, _SLURM] = None
    """slurm: the partition. Default: the cluster's."""

    account: Annotated[str | None, _WORD, _SLURM] = None
    """slurm: the account that is charged."""

    qos: Annotated[str | None, _WORD, _SLURM] = None
    """slurm: the quality of service."""

    time: Annotated[str | None, _DURATION, _SLURM] = None
    """slurm: time of a task, such as 90m or 4h; a longer run goes on in another. Default: the partition's."""

    cpus: Annotated[int, at_least(1, 4096), _CLUSTER] = 1
    """slurm, ray: cores of a task, which are a run's threads."""

    gpus: Annotated[float, at_least(0, 64), _CLUSTER] = 0
    """slurm, ray: GPUs of a task; with ray also a part of one, such as 0.25."""

    memory: Annotated[str | None, _SIZE, _CLUSTER] = None
    """slurm, ray: memory of a task, such as 16G. Default: slurm the partition's, ray without a limit."""

    at_once: Annotated[int | None, at_least(1, 1_000_000), _CLUSTER] = None
    """slurm, ray: the most tasks at a time."""

    runs_per_task: Annotated[int | None, at_least(1, 1_000_000), _SLURM] = None
    """slurm: runs that one task makes, one after the other: several if they take seconds. Default: 1, or as many as the
    cluster's longest array requires."""

    requeues: Annotated[int, at_least(0, 10_000), _CLUSTER] = 100
    """slurm, ray: how many times a task is queued again if it was preempted, ran out of time or was killed, or its node
    was lost."""

    args: Annotated[str, _SLURM] = ""
    """slurm: other options of sbatch, such as "--constraint=a100 --exclude=node3"."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        for option, name in without_effect(self).items():
            yield option, False, f"left out without --executor {name.removeprefix('name ')}"
        yield "args", "\n" not in self.args and "\r" not in self.args, "one line"
        whole = self.gpus == int(self.gpus)
        yield "gpus", whole or self.name != "slurm", "a whole number with --executor slurm"
        yield "gpus", whole or self.gpus < 1, "a whole number, or a part below 1"

    @property
    def seconds(self) -> int | None:
        """Time of a task; none where the partition's holds."""
        return None if self.time is None else int(self.time[:-1]) * _SECONDS[self.time[-1]]

    @property
    def memory_bytes(self) -> int | None:
        """Memory of a task; none where nothing was said."""
        return None if self.memory is None else int(self.memory[:-1]) * 1024 ** ("KMGT".index(self.memory[-1]) + 1)


def executor_options(told: Any, given: Mapping[str, Any]) -> ExecutorOptions:
    """The options of a study's file, with those of the command line in their place, checked.

    Args:
        told: The file's `executor`: a name, a table of options, or None.
        given: The command line's, by name.

    Raises:
        InputError: An option is unknown, of another type, out of range, or at odds with another.
    """
    table = {"name": told} if isinstance(told, str) else {} if told is None else told
    if not isinstance(table, Mapping):
        raise InputError(f"executor must be a name, or a table of its options, got {told!r}.")
    types = hints(ExecutorOptions)
    for name, value in table.items():
        if name not in types:
            raise unknown_name("option of executor", str(name), types)
        kind = next(iter(get_args(bare(types[name]))), bare(types[name]))  # the first of `int | None`
        if name == "name":
            if value not in EXECUTORS:
                raise unknown_name("executor", str(value), EXECUTORS)
        else:
            of_kind(f"executor.{name}", value, kind)
    options = ExecutorOptions(**{**table, **given})
    if "name" in table and table["name"] != options.name:  # the file's are for the executor that it names
        options = replace(ExecutorOptions(name=options.name), **given)
    check(options, "executor.")
    return options
