"""`truelift status`."""

import time
from collections.abc import Sequence
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from truelift import __version__
from truelift.cli import amounts
from truelift.cli.progress import name, progress_line, where
from truelift.errors import InputError
from truelift.records import Study
from truelift.records.catalogue import places
from truelift.records.progress import RunProgress, StudyProgress, seen_from_outside

_MOST_SHOWN = 20
"""Of the runs that run, or have failed."""


def status(folder: Annotated[Path | None, Parameter(name="folder")] = None, /, *, json: bool = False) -> int:
    """Say how far a study is, from its folder alone.

    Args:
        folder: The study's folder. Default: the study in runs/ that was changed last.
        json: Print it as JSON (docs/json.md).
    """
    study = Study.read(folder or last_study())
    found = seen(study, time.time())
    if json:
        print(dumps(status_form(study, found), indent=2, allow_nan=False))
    else:
        print("\n".join(lines(study, found, time.time())))
    return 0


def last_study() -> Path:
    """The study in runs/ that was changed last.

    Raises:
        InputError: There is none.
    """
    studies = Path("runs")
    found = [place for place, kind in places(studies) if kind == "study"] if studies.is_dir() else []
    if not found:
        raise InputError("folder must be given: there is no study in runs/ here.")
    return max(found, key=lambda place: max(_changed(file) for file in (place / "study.json", *place.glob("runs/*/*"))))


def _changed(file: Path) -> float:
    with suppress(OSError):  # it goes meanwhile
        return file.stat().st_mtime
    return 0.0


def lines(study: Study, found: StudyProgress, now: float) -> list[str]:
    """What a person reads."""
    told = [f"{study.plan['name']}: {progress_line(found)}"]
    told += _listed([f"{name(one)}: {where(one, now)}{_how_far(one)}" for one in found.of("running")])
    return told + failures(found.of("failed"))


def failures(failed: Sequence[RunProgress]) -> list[str]:
    """A line for each of the first that have failed."""
    return _listed([f"{name(one)}: failed: {one.reason}" for one in failed])


def seen(study: Study, now: float) -> StudyProgress:
    """How far a study is, at this time in seconds since 1970."""
    if study.plan.get("until_decided") is None:
        return seen_from_outside(study.runs, now)
    from truelift.report.standing import not_needed  # the statistics, which a fixed number of seeds does not ask

    return seen_from_outside(study.runs, now, not_needed(study))


def status_form(study: Study, found: StudyProgress) -> dict[str, Any]:
    """What `--json` prints (docs/json.md)."""
    return {
        "schema": 1,
        "kind": "status",
        "truelift": __version__,
        "name": study.plan["name"],
        "folder": str(study.folder),
        "done": found.count("done"),
        "failed": found.count("failed"),
        "running": found.count("running"),
        "waiting": found.count("waiting"),
        "not_needed": found.count("not needed"),
        "seconds_left": found.seconds_left,
        "runs": [
            {
                "variant": one.run.variant,
                "seed": one.run.seed,
                "folder": str(one.run.folder),
                "state": one.state,
                "reason": one.reason,
                "host": None if one.holder is None else one.holder.host,
                "process": None if one.holder is None else one.holder.process,
                "executor": None if one.holder is None else one.holder.executor,
                "job": None if one.holder is None else one.holder.job or None,
                "since": None if one.holder is None else one.holder.since,
                "step": one.step,
                "steps": one.steps,
                "images_per_second": one.images_per_second,
                "seconds_left": one.seconds_left,
            }
            for one in found.runs
        ],
    }


def _listed(told: Sequence[str]) -> list[str]:
    more = [f"  … and {len(told) - _MOST_SHOWN} more"] if len(told) > _MOST_SHOWN else []
    return [*(f"  {line}" for line in told[:_MOST_SHOWN]), *more]


def _how_far(one: RunProgress) -> str:
    if one.step is None:
        return ""
    of = "" if one.steps is None else f" of {one.steps:,}"
    speed = "" if one.images_per_second is None else f", {one.images_per_second:,.0f} images/s"
    left = "" if one.seconds_left is None else f", {amounts.time(one.seconds_left)} left"
    return f", step {one.step:,}{of}{speed}{left}"
