"""What studies and runs keep that neither a report nor a resumed run needs: found, and removed on request."""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from truelift.errors import InputError
from truelift.records.catalogue import Entry, in_use
from truelift.records.config_file import read_config_file
from truelift.records.leases import leased
from truelift.records.locks import InUseError
from truelift.records.run import Run
from truelift.records.study import Study

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
    may_go: Callable[[], bool] = lambda: True
    """Whether it still may: a study may have taken it up again since."""


def leftovers(entry: Entry) -> Iterator[Leftover]:
    """Checkpoints of finished trainings, and folders of unfinished runs that no plan of their study names.

    A finished run stays, named or not: a plan that is given its seed or setting again takes it up. Nothing of a study
    or run that is in use, nothing where study.json cannot be read, and nothing of a user's program.
    """
    if entry.running or (entry.kind == "study" and entry.study is None):
        return
    of_study = (entry.folder,) if entry.kind == "study" else ()
    for run in entry.runs:
        checkpoint = run.folder / "checkpoint.pt"
        if run.status == "done" and _is_training(run) and _is_file(checkpoint) and not in_use(run.folder):
            holders = (*of_study, run.folder)
            done = partial(_is_done, run)
            yield Leftover(checkpoint, "checkpoint of a finished run", _bytes(checkpoint), holders, done)
    if entry.study is None:
        return
    named = _named(entry.study)
    for folder in _run_folders(entry.folder / "runs"):
        if os.path.normpath(folder) not in named and not _has_result(folder) and not in_use(folder):
            unnamed = partial(_is_unnamed, folder, entry.folder)
            yield Leftover(folder, "unfinished run that no plan names", _bytes(folder), (entry.folder, folder), unnamed)


def remove(leftover: Leftover) -> str | None:
    """Remove it, unless its study or run is in use by now, or has taken it up again; then a sentence says so.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        with contextlib.ExitStack() as stack:
            for folder in leftover.holders:
                if folder.is_dir():  # a lease would make it
                    stack.enter_context(leased(folder))
            if not leftover.may_go():
                return f"{leftover.path} stays: its study has taken it up again."
            if leftover.path.is_dir():
                shutil.rmtree(leftover.path)
            else:
                leftover.path.unlink(missing_ok=True)
    except InUseError as error:
        return f"{error} {leftover.path} stays."
    return None


def _named(study: Study) -> set[str]:
    """The folders of all runs of a study, and of its earlier plans."""
    named = {os.path.normpath(run.folder) for run in study.runs}
    for one in study.plan.get("earlier", []):
        named |= {os.path.normpath(study.folder / folder) for folder in one["folders"].values()}
    return named


def _is_unnamed(folder: Path, study: Path) -> bool:
    try:
        return os.path.normpath(folder) not in _named(Study.read(study)) and not _has_result(folder)
    except InputError:
        return False


def _has_result(folder: Path) -> bool:
    return os.path.lexists(folder / "result.json")


def _is_done(run: Run) -> bool:
    """Whether a run is done, asked anew."""
    return replace(run).status == "done"


def _is_training(run: Run) -> bool:
    """Whether it is one of ours: what a program of the user's calls checkpoint.pt is the user's."""
    try:
        return "command" not in read_config_file(run.folder)
    except InputError:
        return False


def _run_folders(folder: Path) -> Iterator[Path]:
    """VARIANT/seed-SEED-FINGERPRINT below, with links left out: what they lead to may be another study's."""
    if folder.is_symlink():
        return
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
