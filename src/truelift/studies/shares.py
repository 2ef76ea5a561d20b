"""How a machine is shared out among a study's runs: processes, cores, GPUs and memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from truelift.errors import whole
from truelift.processes import available_cores
from truelift.studies.executors.local import Local
from truelift.studies.need import Need, need_of_programs
from truelift.studies.plan import PlannedRun
from truelift.studies.room import Room, room_for
from truelift.training.hardware import pick_device, visible_gpus

MOST_JOBS = 1024
"""Each is a process that loads torch and its data."""


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


def within_memory(
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
