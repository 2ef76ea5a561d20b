"""What a study's folder holds already: this study, or another that must not be written over."""

import os
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records import read_plan
from truelift.records.leases import holder_of


def source_from(folder: Path, source: Path) -> str:
    """Where a study file lies as seen from the study's folder, so that both can be moved together."""
    return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()


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
            is gone and has no run in common with this one; or a run is being made that is none of the planned.
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
    for run in there["runs"]:
        # The command that makes it would report what it has not run, once study.json is of another plan.
        if run["folder"] not in planned and holder_of(folder / run["folder"]) is not None:
            raise InputError(
                f"{folder} is being run with other settings: {run['variant']} seed {run['seed']} is not over. "
                "Wait until that study has ended, or give this one another --out."
            )
    return None


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
