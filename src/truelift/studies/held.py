"""What a study's folder holds already: this study, or another that must not be written over."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records import Study, read_plan
from truelift.records.leases import holder_of
from truelift.studies.executors.base import has_ended

_JUDGED_BY = (
    "metric",
    "higher_is_better",
    "metric_scale",
    "baseline",
    "smallest_effect",
    "guards",
    "pooling",
    "until_decided",
)
"""The keys of study.json that a verdict hangs on beside the runs."""


def source_from(folder: Path, source: Path) -> str:
    """Where a study file lies as seen from the study's folder, so that both can be moved together."""
    return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()


def check_text(recorded: Any) -> None:
    """Refuse what study.json cannot hold, before runs are made of which no report could be written.

    Args:
        recorded: A value of JSON's.

    Raises:
        InputError: A name in it is not UTF-8.
    """
    if isinstance(recorded, str):
        try:
            recorded.encode()
        except UnicodeEncodeError:
            raise InputError(f"names of files and folders must be UTF-8, got {recorded}.") from None
    elif isinstance(recorded, Mapping):
        for key, value in recorded.items():
            check_text(key)
            check_text(value)
    elif isinstance(recorded, list | tuple):
        for value in recorded:
            check_text(value)


def refuse_other(folder: Path, source: Path, scale: str | None, runs: list[str] | None) -> str | None:
    """Refuse a folder that holds another study.

    Args:
        folder: The study's, which need not be there.
        source: The study file.
        scale: The one that is applied, or None.
        runs: The folders of the planned runs, as study.json has them. None before a ledger has drawn their seeds: a
            study file that is gone is then taken for one that was moved, and runs that are being made for these.

    Returns:
        A sentence where study.json cannot be read, so that nobody can tell.

    Raises:
        InputError: study.json was made from another study file that is still there, at another scale, or from one that
            is gone and has no run in common with this one; or runs of it are being made, and one that is made or is to
            come is none of the planned.
    """
    if not os.path.lexists(folder / "study.json"):
        return None
    try:
        there = read_plan(folder)
    except InputError as error:
        return f"{error} It is written anew."
    planned = {run["folder"] for run in there["runs"]} if runs is None else set(runs)
    other = _other(folder, there, source, scale, planned)
    if other is not None:
        raise InputError(f"{folder} holds {other}: give this one another --out.")
    # The command that makes them would report what it has not run, once study.json is of another plan.
    dropped = [run for run in there["runs"] if run["folder"] not in planned and _is_to_come(folder / run["folder"])]
    if dropped and any(holder_of(folder / run["folder"]) is not None for run in there["runs"]):
        first = f"{dropped[0]['variant']} seed {dropped[0]['seed']}"
        raise InputError(
            f"{folder} is being run with other settings: {first} is not over. "
            "Wait until that study has ended, or give this one another --out."
        )
    return None


def told_of_other(study: Study, planned: Collection[Path], record: Mapping[str, Any]) -> str | None:
    """A sentence where another command has changed a study's plan: which runs are its own, or how they are judged.

    Args:
        study: As its folder tells it now.
        planned: The folders of the runs that this command had planned.
        record: What this command had written into study.json.
    """
    missing = len(set(planned) - {run.folder for run in study.runs})
    others = [key.removeprefix("metric_") for key in _JUDGED_BY if study.plan.get(key) != record.get(key)]
    if missing:
        told = f"{missing} of this one's {len(planned)} runs are no part of it"
        way = "the same command gives it of all"
    elif others:
        told = f"its {', '.join(others)} {'is' if len(others) == 1 else 'are'} no longer this one's"
        way = "the same command, with the study file as it was, gives it of this one"
    else:
        return None
    return (
        f"another command has changed the plan of {study.folder} meanwhile: {told}. The report is of that plan; {way}."
    )


def _is_to_come(folder: Path) -> bool:
    """Whether a run is being made or has no outcome yet."""
    return not has_ended(folder) or holder_of(folder) is not None


def _other(folder: Path, there: dict[str, Any], source: Path, scale: str | None, runs: set[str]) -> str | None:
    """What the folder holds in place of this study."""
    if there.get("source") is None:
        function = there["shared"].get("function")
        return None if function is None else f"the comparison of {function}"  # None: of an earlier version
    if there.get("scale") != scale:
        return f"the study at scale {there.get('scale') or 'paper'}"
    before = folder / there["source"]
    try:
        same = os.path.samefile(before, source)
    except OSError:  # it was moved, perhaps
        same = not runs.isdisjoint(run["folder"] for run in there["runs"])
    return None if same else f"the study of {os.path.normpath(before.absolute())}"
