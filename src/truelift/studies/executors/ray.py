"""A study as tasks of a Ray cluster's, one a run.

Ray knows what runs, and nothing of what a run has come to: that is read from its folder, as ever. A task whose process
or node is lost is given to another node by Ray, and goes on from the run's checkpoint as soon as the lease there says
that nobody has it. The tasks belong to the command that waits for them and end with it; the same command goes on.
"""

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelift import signals
from truelift.errors import InputError, one_line, shortened
from truelift.records import leased
from truelift.records.holder import Holder
from truelift.records.leases import holder_of, is_free
from truelift.studies.executors import ray_cluster, ray_task
from truelift.studies.executors.base import Work, has_ended
from truelift.studies.executors.local import PREEMPTED_STOP_SECONDS, STOP_SECONDS
from truelift.studies.executors.options import ExecutorOptions
from truelift.studies.worker import write_failure

_LOOK_SECONDS = 0.5
"""Between two looks at whether somebody has cancelled the study."""
_MOST_TASKS = 1000
"""That Ray knows of at a time: it plans ahead with them, and each look goes through all."""
_CANCEL = "cancel"
"""A file in the waiting command's folder: it is to end."""


@dataclass(frozen=True)
class Ray:
    """A cluster's tasks."""

    options: ExecutorOptions

    @property
    def waits(self) -> bool:
        """Always: tasks end with the command that they are of."""
        return True

    def check(self, study: Path, *, one_by_one: bool = False) -> None:
        """Refuse what would fail in every task.

        Raises:
            InputError: Ray is not installed, the cluster cannot be reached, no node has what a run is to have, or a
                node does not see the study's folder.
        """
        with ray_cluster.connected(self.options, stay=True) as ray:
            ray_cluster.look_at_nodes(ray, self.options, study)

    def shown(self, folders: Sequence[Path], work: Work) -> str:
        """What would be handed over for these runs."""
        with ray_cluster.connected(self.options) as ray:
            rooms = [room for _, room in ray_cluster.fitting(ray, self.options)]
        environment = ray_cluster.runtime_env(self.options)
        has = ", ".join(f"{name} {amount:g}" for name, amount in ray_cluster.asked(self.options).items())
        where = environment.get("working_dir")
        lines = (
            f"{len(folders)} runs as tasks of Ray's at {ray_cluster.address_of(self.options)}, each with {has}",
            f"nodes that they fit on: {len(rooms)}, for {sum(rooms)} runs at a time",
            f"folder of the runs: {os.getcwd()}, which the nodes must see" if where is None else f"Ray copies: {where}",
            f"environment variables: {', '.join(environment['env_vars'])}",  # a value may be a secret
            *(f"{name}: {value}" for name, value in environment.items() if name not in ("env_vars", "working_dir")),
        )
        return "".join(f"{line}\n" for line in lines)

    def run(self, folders: Iterable[Path], work: Work) -> Generator[Path]:
        """Hand over every run that has not ended, and wait for all.

        Raises:
            InputError: The cluster cannot be reached, or a node cannot make runs of this study.
        """
        with _command(work.study) as command, ray_cluster.connected(self.options) as ray:
            tasks = _Tasks(ray, self.options, work)
            following = iter(folders)
            try:
                while True:
                    while tasks.have_room() and (folder := next(following, None)) is not None:
                        if has_ended(folder):
                            yield folder
                        else:
                            tasks.begin(folder)
                    if not tasks.running:
                        return
                    if (command / _CANCEL).exists():
                        work.tell("truelift cancel ends this command, and its runs")
                        signal.raise_signal(signal.SIGTERM)
                    yield from tasks.ended()
            except BaseException:
                tasks.stop()
                raise


class _Tasks:
    """The tasks of one command.

    Args:
        ray: Connected.
        options: Of the executor.
        work: What is the same in all runs.
    """

    def __init__(self, ray: Any, options: ExecutorOptions, work: Work) -> None:
        self.running: dict[Any, Path] = {}
        self._ray, self._options, self._work = ray, options, work
        self._job = ray.get_runtime_context().get_job_id()
        self._directory = ray_cluster.directory_of(options)
        # A run is a process of its own, so the task's need not end with it, as Ray would have it where there is a GPU.
        self._task = ray.remote(
            name="truelift",
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            memory=options.memory_bytes,
            max_retries=options.requeues,
            max_calls=0,
        )(ray_task.make)

    def have_room(self) -> bool:
        """Whether another is to be begun: one by one only where it can run now."""
        most = min(_MOST_TASKS, self._options.at_once or _MOST_TASKS)
        if self._work.one_by_one:
            rooms = ray_cluster.fitting(self._ray, self._options)
            most = min(most, max(1, sum(room for _, room in rooms)))
        return len(self.running) < most

    def begin(self, folder: Path) -> None:
        """Hand a run over."""
        work, options = self._work, self._options
        task = self._task.remote(
            os.path.abspath(work.study),
            folder.relative_to(work.study).as_posix(),
            self._directory,
            self._job,
            options.cpus,
            work.checkpoint_seconds,
            work.metric,
            1 if options.retries is None else options.retries,
        )
        self.running[task] = folder

    def ended(self) -> Iterator[Path]:
        """Those that end within a moment.

        Raises:
            InputError: A node cannot make runs of this study.
        """
        done, _ = self._ray.wait([*self.running], timeout=_LOOK_SECONDS)
        for task in done:
            folder = self.running.pop(task)
            self._take_up(task, folder)
            yield folder

    def _take_up(self, task: Any, folder: Path) -> None:
        errors = self._ray.exceptions
        try:
            ended, refused = self._ray.get(task)
        except errors.TaskCancelledError:  # by somebody's hand: it is interrupted
            return
        except errors.RuntimeEnvSetupError as error:
            raise InputError(f"a node cannot have executor.runtime_env: {shortened(one_line(error))}") from None
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            times = self._options.requeues + 1
            why = f"its task was lost {times} time{'s' * (times > 1)}, at last so: {shortened(one_line(error))}"
            write_failure(folder, why)
            return
        if refused is not None:
            raise InputError(refused)
        if ended:
            ray_task.wait_for(lambda: has_ended(folder))

    def stop(self) -> None:
        """Have all runs write a checkpoint and end; what has not after a while is killed."""
        left = [*self.running]
        for task in left:
            self._ray.cancel(task)
        seconds = 2 + (PREEMPTED_STOP_SECONDS if signals.preempted() else STOP_SECONDS)
        if left:
            _, left = self._ray.wait(left, num_returns=len(left), timeout=seconds)
        for task in left:
            self._ray.cancel(task, force=True)


@contextlib.contextmanager
def _command(study: Path) -> Iterator[Path]:
    """A folder that this command holds while it waits, so that whoever sees the study can tell it to end."""
    for left in _commands(study):  # of commands that were killed
        if is_free(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = study / "ray" / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    try:
        with leased(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _commands(study: Path) -> list[Path]:
    return [folder for folder in sorted(study.glob("ray/*")) if folder.is_dir()]


def cancel(study: Path) -> list[Holder]:
    """Tell every command that waits for tasks of a study's to end, with its runs.

    Returns:
        The commands' processes.
    """
    told = []
    for folder in _commands(study):
        holder = holder_of(folder)
        if holder is not None:
            (folder / _CANCEL).touch()
            told.append(holder)
    return told
