"""Runs of a program that ended well without the study's metric: taken as they ended once the study names one they have.

A wrong name costs no training: failure.json holds what the result would have had, and metrics.json is kept.
"""

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records import Run, leased, write_json
from truelift.records.locks import InUseError
from truelift.records.own_result import is_own
from truelift.studies.command import metrics_file
from truelift.studies.plan import PlannedRun
from truelift.studies.program_metrics import read_metrics, result_of
from truelift.studies.sources import changed, source_digests


def missed_result(run: Run, config: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    """The result of a program's run that failed for want of a metric alone, and has it by now; else None.

    Args:
        run: It failed.
        config: What its config.toml is to hold. Where the program's files are others by now, it is run again.
        metric: The one that the study names now.
    """
    ran = run.failure().get("ran")
    if ran is None or not is_own(ran, config):
        return None
    try:
        file = run.folder / metrics_file(config)
        left = read_metrics(file, metric, tell=lambda line: None, folder=run.folder)
    except InputError:
        return None
    edited = changed(ran["sources"], source_digests(config, run.folder.absolute()))
    return None if edited else result_of({**ran, "results": metrics_file(config)}, *left)


def take_up(runs: Mapping[Path, PlannedRun], pending: Collection[Path], metric: str) -> list[str]:
    """Write the results of runs that count as finished though they failed.

    Args:
        runs: All of the study's, by their folders.
        pending: Those that are not finished.
        metric: The study's.

    Returns:
        A line for each.
    """
    told, waiting = [], set(pending)
    for path, planned in runs.items():
        run = Run(planned.variant, planned.seed, path)
        if path in waiting or planned.experiment is not None or run.status != "failed":
            continue
        with contextlib.suppress(InUseError), leased(path, briefly=True):  # who has it runs it
            result = missed_result(run, planned.config, metric)
            if result is not None:
                write_json(path / "result.json", result)
                (path / "failure.json").unlink(missing_ok=True)
                file = metrics_file(planned.config)
                told.append(f"{run.variant}, seed {run.seed}: taken as it ended, since {file} has {metric}")
    return told
