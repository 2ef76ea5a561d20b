"""What studies and runs keep that neither a report nor a resumed run needs: found, and removed on request."""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from truelift.errors import InputError
from truelift.records.catalogue import Entry
from truelift.records.config_file import read_config_file
from truelift.records.locks import InUseError, is_held, locked
from truelift.records.run import Run

_RUN_FOLDER = re.compile(r"seed-(-?\d{1,19})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go."""

    path: Path
    what: str
    """What it is, for a person."""
    bytes: int
    holders: tuple[Path, ...]
    """Folders that must be free while it goes: the study's, and the run's."""


def leftovers(entry: Entry) -> Iterator[Leftover]:
    """Checkpoints of finished trainings, and run folders that no plan of their study names.

    Nothing of a study or run that is in use, nothing where study.json cannot be read, and nothing of a user's program.
    """
    if entry.running or (entry.kind == "study" and entry.study is None):
        return
    of_study = (entry.folder,) if entry.kind == "study" else ()
    for run in entry.runs:
        checkpoint = run.folder / "checkpoint.pt"
        if run.status == "done" and _is_training(run) and _is_file(checkpoint) and not is_held(run.folder):
            yield Leftover(checkpoint, "checkpoint of a finished run", _bytes(checkpoint), (*of_study, run.folder))
    if entry.study is None:
        return
    named = {os.path.normpath(run.folder) for run in entry.runs}
    for one in entry.study.plan.get("earlier", []):
        named |= {os.path.normpath(entry.folder / folder) for folder in one["folders"].values()}
    for folder in _run_folders(entry.folder / "runs"):
        if os.path.normpath(folder) not in named and not is_held(folder):
            yield Leftover(folder, "run that no plan names", _bytes(folder), (entry.folder, folder))


def remove(leftover: Leftover) -> str | None:
    """Remove it, unless its study or run is in use by now; then a sentence says so.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        with contextlib.ExitStack() as stack:
            for folder in leftover.holders:
                stack.enter_context(locked(folder))
            if leftover.path.is_dir():
                shutil.rmtree(leftover.path)
            else:
                leftover.path.unlink(missing_ok=True)
    except InUseError as error:
        return f"{error} {leftover.path} stays."
    return None


def _is_training(run: Run) -> bool:
    """Whether it is one of ours: what a program of the user's calls checkpoint.pt is the user's."""
    try:
        return "command" not in read_config_file(run.folder)
    except InputError:
        return False


def _run_folders(folder: Path) -> Iterator[Path]:
    """VARIANT/seed-SEED-FINGERPRINT below, with links left out."""
    for variant in _folders(folder):
        yield from (path for path in _folders(variant) if _RUN_FOLDER.fullmatch(path.name))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return sorted(Path(one) for one in found if one.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _bytes(path: Path) -> int:
    if _is_file(path):
        return path.lstat().st_size
    return sum(_bytes(Path(place) / name) for place, _, files in os.walk(path) for name in files)
