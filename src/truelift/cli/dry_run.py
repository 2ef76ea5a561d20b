"""What would run, what is done, and what it will cost: `--dry-run`."""

import sys
from pathlib import Path

from truelift.cli.amounts import size, time
from truelift.cli.progress import begun_line
from truelift.cli.say import warn
from truelift.report.standing import decide
from truelift.studies.cost import Cost, study_cost
from truelift.studies.how import How
from truelift.studies.memory import memory_free
from truelift.studies.plan import StudyPlan
from truelift.studies.probe import Probe


def show_cost(plan: StudyPlan, folder: Path, how: How) -> int:
    """Tell what a study will cost.

    Args:
        plan: The study's.
        folder: Its folder.
        how: It would be run.
    """
    if any(variant.command is None for variant in plan.variants):  # a program tells by a run that has ended
        print("probing each variant for some seconds", file=sys.stderr, flush=True)
    cost = study_cost(plan, folder, how, decide=decide)
    print("\n".join(cost_lines(cost)))
    _warn_of_disk(cost.disk_bytes, cost.disk_free)
    if cost.crowded is not None:
        warn(cost.crowded)
    return 0


def cost_lines(cost: Cost) -> list[str]:
    """A study's cost, a line each."""
    lines = [begun_line(cost.done, cost.resumed, cost.total, cost.jobs)]
    for variant, count in cost.to_run.items():
        known = variant in cost.of_variant
        each = time(cost.of_variant[variant]) if known else "not known before one has ended"
        lines.append(
            f"{variant}: {count} {'run' if count == 1 else 'runs'} to come, {each}{' each' * (known and count > 1)}"
        )
    if cost.seconds is not None and cost.to_run:
        lines.append(f"time: about {time(cost.seconds)}")
    if cost.disk_bytes:
        lines.append(f"disk: about {size(cost.disk_bytes)}, {size(cost.disk_free)} are free")
    if cost.room is not None:
        room, at_a_time = cost.room, min(cost.jobs, sum(cost.to_run.values()))
        lines.append(f"{room.kind}: about {size(room.takes)} a run, {at_a_time} at a time, {size(room.free)} are free")
    return lines + [f"note: {note}" for note in cost.notes]


def show_training_cost(probe: Probe, folder: Path, disk_free: int) -> int:
    """Tell what one training will cost.

    Args:
        probe: Of it.
        folder: Where it would be.
        disk_free: Bytes.
    """
    free = memory_free()
    print(f"records: {folder}")
    print(
        f"time: about {time(probe.seconds_alone)} ({probe.steps:,} steps of {1000 * probe.seconds_per_step:.3g} ms, "
        f"{probe.evaluations:,} evaluations of {time(probe.evaluation_seconds)})"
    )
    print(f"disk: about {size(probe.disk_bytes)}, {size(disk_free)} are free")
    print(f"memory: about {size(probe.peak_bytes)}" + ("" if free is None else f", {size(free)} are free"))
    _warn_of_disk(probe.disk_bytes, disk_free)
    if free is not None and probe.peak_bytes > free:
        warn("there is not enough memory.")
    return 0


def _warn_of_disk(wanted: int, free: int) -> None:
    if wanted > free:
        warn("there is not enough room on the disk.")
