"""What a study would run and what that will cost, before anything is written."""

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from truelift.errors import InputError
from truelift.records import Run, Study
from truelift.records.progress import lay_out, run_progress
from truelift.studies.edited import edited
from truelift.studies.folders import names_of
from truelift.studies.growing import Decide, still_to_come
from truelift.studies.how import How
from truelift.studies.need import need_of_probe, need_of_programs
from truelift.studies.plan import PlannedRun, StudyPlan
from truelift.studies.preflight import check, look
from truelift.studies.probe import Probe, probe_all
from truelift.studies.room import Room, room_for
from truelift.studies.shares import shares_for
from truelift.studies.start import can_fork
from truelift.training.hardware import pick_device
from truelift.training.identity import fingerprint, without_seed

REPORT_SHARE = 0.5
"""What a study's report takes, in what its start takes: both are mostly imports, and as fast as the machine."""


@dataclass(frozen=True)
class Cost:
    """What is to come."""

    done: int
    resumed: int
    """Runs that go on from a checkpoint."""
    to_run: Mapping[str, int]
    """By variant, those of `resumed` too."""
    jobs: int
    seconds: float | None
    """Until the last run ends; None where a program has not shown yet how long it takes."""
    of_variant: Mapping[str, float]
    """Seconds of one whole run, as far as they are known."""
    disk_bytes: int
    """Of all runs that are to come."""
    disk_free: int
    room: Room | None
    """The memory of which there is the least; None where nothing is known of it."""
    crowded: str | None
    """A sentence where fewer runs fit into it than would be at a time."""
    notes: tuple[str, ...]
    """What the prediction leaves out."""

    @property
    def total(self) -> int:
        """All runs of the plan, but for those that a study until decided needs no more."""
        return self.done + sum(self.to_run.values())


def study_cost(plan: StudyPlan, folder: Path, how: How, *, decide: Decide | None = None) -> Cost:
    """Look at what is there, and probe each variant of which a run is to come.

    Args:
        plan: The study's.
        folder: Its folder, which need not be there.
        how: It is run, on this machine.
        decide: As for `run_study`: without it all seeds of a study until decided count as to come.

    Raises:
        InputError: What the study would refuse too.
    """
    begun = time.process_time()  # what a dry run has done by now the study does too
    planned = plan.runs()
    executor, folders, record, unfinished = check(plan, folder, how)
    pending = unfinished
    if plan.looks is not None and decide is not None and len(unfinished) < len(folders):
        pending = still_to_come(names_of(folders), unfinished, decide(Study.planned(folder, record)))
    shares = shares_for(planned, how.jobs)
    if pending:
        look(plan, executor)
    to_run = Counter(folders[path].variant for path in pending)
    # Settings that are the same for two variants are probed once.
    distinct: dict[str, tuple[str, dict[str, object]]] = {}
    key_of: dict[str, str] = {}
    devices: dict[str, str] = {}
    for path in pending:
        run = folders[path]
        if run.experiment is not None and run.variant not in key_of:
            key = fingerprint(without_seed(run.identity))
            key_of[run.variant] = key
            devices[run.variant] = pick_device(run.experiment.device)
            distinct.setdefault(key, (run.variant, run.config))
    configs = {f'variant "{variant}"': config for variant, config in distinct.values()}
    found = probe_all(configs, jobs=shares.jobs, threads=shares.threads)
    probes = dict(zip(distinct, found, strict=True))
    of_variant = {variant: probes[key].seconds for variant, key in key_of.items()}
    of_variant |= _of_programs(plan, folders)
    parts, resumed = [], 0
    for path in pending:
        run = folders[path]
        left = 1.0
        if (path / "checkpoint.pt").exists():
            resumed += 1
            left = run_progress(Run(run.variant, run.seed, path)).share_left
        parts.append(of_variant.get(run.variant, 0.0) * left)
    needs = {variant: need_of_probe(probes[key].peak_bytes, devices[variant]) for variant, key in key_of.items()}
    needs |= {variant: need for variant, need in need_of_programs(folders).items() if variant in to_run}
    room = room_for(needs.values(), len(shares.gpus))
    shares, crowded = shares.within(room, len(pending), asked=how.jobs is not None)
    disk = sum(probes[key_of[v]].disk_bytes * count for v, count in to_run.items() if v in key_of)
    seconds = lay_out(parts, shares.jobs) + (_beside(begun, probes.values()) if parts else 0.0)
    return Cost(
        done=len(planned) - len(unfinished),
        resumed=resumed,
        to_run=to_run,
        jobs=shares.jobs,
        seconds=seconds if to_run.keys() <= of_variant.keys() else None,
        of_variant={variant: of_variant[variant] for variant in to_run if variant in of_variant},
        disk_bytes=disk,
        disk_free=disk_free(folder),
        room=room,
        crowded=crowded,
        notes=(*edited(folders, unfinished), *_notes(plan, key_of, to_come=bool(pending))),
    )


def _beside(begun: float, probes: Iterable[Probe]) -> float:
    """What a study does beside its runs: it starts while its server imports, and writes the report."""
    imports = max((probe.import_seconds for probe in probes), default=0.0) if can_fork() else 0.0
    return max(begun, imports) + REPORT_SHARE * begun


def _of_programs(plan: StudyPlan, folders: Mapping[Path, PlannedRun]) -> dict[str, float]:
    """Seconds of a run of each of the user's programs, by those that are there."""
    found = {}
    for variant in plan.variants:
        if variant.program is None:
            continue
        took = []
        for path in (path for path, run in folders.items() if run.variant == variant.name):
            try:
                wall = Run(variant.name, 0, path).result().get("wall_seconds")
            except InputError:
                continue
            took += [wall] if isinstance(wall, int | float) else []
        if took:
            found[variant.name] = sum(took) / len(took)
    return found


def disk_free(folder: Path) -> int:
    """Bytes that are free where a folder is, or shall be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _notes(plan: StudyPlan, probed: Mapping[str, str], *, to_come: bool) -> list[str]:
    found = []
    experiments = [plan.experiment(variant, plan.seeds[0]) for variant in plan.variants if variant.name in probed]
    if plan.looks is not None and to_come:
        found.append("seeds are run until variants are decided: it may need fewer runs")
    if any(one.freezing.name != "none" for one in experiments):
        found.append("steps get cheaper as layers freeze, which is not counted")
    if any(one.data.progressive for one in experiments):
        found.append("training images grow, and steps were timed at their first size")
    if any(one.probe.name != "none" or one.detection.outliers or one.detection.fgsm_epsilon for one in experiments):
        found.append("probes and detection after a training are not counted")
    return found
