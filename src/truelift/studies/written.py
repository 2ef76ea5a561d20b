"""What a study writes before its runs: study.json, and each run's config.toml."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from truelift.records import begin_folder, earlier_plans, leased, make_room, now, write_json
from truelift.records.config_file import write_config_file
from truelift.records.locks import InUseError
from truelift.studies.again import Failures
from truelift.studies.edited import edited
from truelift.studies.folders import is_finished
from truelift.studies.held import check_text, refuse_other, source_from
from truelift.studies.plan import PlannedRun, StudyPlan

_WAIT_SECONDS = 30.0
"""How long another command may write this study's plan."""


def record_of(plan: StudyPlan, folder: Path, runs: Mapping[Path, PlannedRun], repeat: str) -> dict[str, Any]:
    """What study.json is to have, but for earlier plans.

    Args:
        plan: The study's.
        folder: Its folder.
        runs: All of the plan, by their folders.
        repeat: The command that repeats the study.

    Raises:
        InputError: The folder holds another study, or this one planned otherwise; or a name in it is not UTF-8.
    """
    places = {run.folder: path.relative_to(folder).as_posix() for path, run in runs.items()}
    record = plan.record(repeat, now(), places)
    record |= {"source": source_from(folder, plan.source), "started_in": source_from(folder, Path())}
    check_text(record)
    refuse_other(folder, plan.source, plan.scale, list(places.values()))
    earlier_plans(folder, record)
    return record


def write_plan(
    plan: StudyPlan,
    folder: Path,
    record: Mapping[str, Any],
    runs: Mapping[Path, PlannedRun],
    pending: Sequence[Path],
    warn: Callable[[str], None],
) -> None:
    """Write study.json, unless another command has made the folder another study's meanwhile."""
    with leased(folder, wait_seconds=_WAIT_SECONDS):
        places = [run["folder"] for run in record["runs"]]
        for line in (refuse_other(folder, plan.source, plan.scale, places), *edited(runs, pending)):
            if line is not None:
                warn(line)
        write_json(folder / "study.json", {**record, "earlier": earlier_plans(folder, record)})


def make_ready(
    path: Path,
    planned: PlannedRun,
    fingerprints: frozenset[str],
    metric: str,
    warn: Callable[[str], None],
    failures: Failures,
) -> None:
    """Give a run's folder its config.toml, and set aside what is in its way; nothing where it is finished meanwhile."""
    config = tomli_w.dumps(planned.config)
    if begin_folder(path / "config.toml", config):
        return
    with contextlib.suppress(InUseError), leased(path, briefly=True):  # who has it has made it ready
        if is_finished(path, planned, fingerprints, metric):
            return
        for line in make_room(path):
            warn(line)
        failures.set_aside(path)
        write_config_file(path, config)
