"""`truelift status`."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from truelift import __version__
from truelift.records import Study
from truelift.records.status import Progress, counted, progress

_MOST_SHOWN = 20
"""Of the runs that run, or have failed."""


def status(folder: Annotated[Path, Parameter(name="folder")], /, *, json: bool = False) -> int:
    """Say how far a study is, from its folder alone.

    Args:
        folder: The study's folder.
        json: Print it as JSON (docs/json.md).
    """
    study = Study.read(folder)
    found = progress(study)
    if json:
        import json as json_module

        print(json_module.dumps(status_form(study, found), indent=2, allow_nan=False))
    else:
        print("\n".join(lines(study, found)))
    return 0


def lines(study: Study, found: Sequence[Progress]) -> list[str]:
    """What a person reads."""
    counts = counted(found)
    told = [f"{study.plan['name']}: " + ", ".join(f"{count} {state}" for state, count in counts.items())]
    running = [one for one in found if one.state == "running"]
    told += [f"  {_name(one)}: {_where(one)}{_how_far(one)}" for one in running[:_MOST_SHOWN]]
    told += _rest(len(running))
    failed = [one for one in found if one.state == "failed"]
    told += [f"  {_name(one)}: failed: {one.reason}" for one in failed[:_MOST_SHOWN]]
    return told + _rest(len(failed))


def status_form(study: Study, found: Sequence[Progress]) -> dict[str, Any]:
    """What `--json` prints (docs/json.md)."""
    return {
        "schema": 1,
        "kind": "status",
        "truelift": __version__,
        "name": study.plan["name"],
        "folder": str(study.folder),
        **counted(found),
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
                "seconds_left": None if one.state != "running" else one.seconds_left,
            }
            for one in found
        ],
    }


def _rest(count: int) -> list[str]:
    return [f"  … and {count - _MOST_SHOWN} more"] if count > _MOST_SHOWN else []


def _name(one: Progress) -> str:
    return f"{one.run.variant} seed {one.run.seed}"


def _where(one: Progress) -> str:
    assert one.holder is not None, "it runs"
    job = f", job {one.holder.job}" if one.holder.job else ""
    try:
        seconds = time.time() - datetime.fromisoformat(one.holder.since).timestamp()
    except ValueError:
        return f"on {one.holder.host}{job}"
    return f"on {one.holder.host}{job} for {duration(max(0.0, seconds))}"


def _how_far(one: Progress) -> str:
    if one.step is None:
        return ""
    of = "" if one.steps is None else f" of {one.steps:,}"
    speed = "" if one.images_per_second is None else f", {one.images_per_second:,.0f} images/s"
    left = "" if one.seconds_left is None else f", {duration(one.seconds_left)} left"
    return f", step {one.step:,}{of}{speed}{left}"


def duration(seconds: float) -> str:
    """A time for a person: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
