"""Which studies and runs lie below a folder, how far they are, and how much room they take: from records alone."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from truelift.errors import InputError
from truelift.records.leases import holder_of
from truelift.records.run import Run
from truelift.records.study import Study

MOST_FOLDERS = 1_000_000
"""Of a search: beyond it, it was started at the wrong place."""

_OF_A_RUN = frozenset({"environment.json", "result.json", "failure.json"})


@dataclass(frozen=True)
class Entry:
    """A study, or a run that is none's."""

    folder: Path
    kind: Literal["study", "run"]
    study: Study | None
    """None for a run, and where study.json cannot be read."""
    runs: tuple[Run, ...]
    bytes: int
    """On disk, of all files in its folder."""
    changed: str
    """When a file in it was last written: ISO 8601, UTC."""
    running: bool
    """Whether a process holds it, or one of its runs, on whichever machine."""
    note: str = ""
    """What is wrong with study.json."""

    def count(self, status: str) -> int:
        """How many runs have this status."""
        return sum(run.status == status for run in self.runs)


def entries(folder: Path) -> list[Entry]:
    """The studies and runs in a folder and below, the last changed first. Links to folders are not followed.

    Raises:
        InputError: There is no such folder, or it holds more folders than anybody's results.
    """
    if not folder.is_dir():
        raise InputError(f"folder must be an existing folder, got {folder}.")
    found = [_entry(path, kind) for path, kind in places(folder)]
    return sorted(found, key=lambda entry: (entry.changed, str(entry.folder)), reverse=True)


def places(folder: Path) -> Iterator[tuple[Path, Literal["study", "run"]]]:
    """Where a study or a run lies; what lies within one is part of it. Links to folders are not followed.

    Raises:
        InputError: The folder holds more folders than anybody's results.
    """
    for looked_at, (place, folders, files) in enumerate(os.walk(folder)):
        if looked_at >= MOST_FOLDERS:
            raise InputError(f"folder must hold at most {MOST_FOLDERS:,} folders, got {folder}.")
        folders.sort()
        if "study.json" in files:
            folders.clear()
            yield Path(place), "study"
        elif "config.toml" in files and (_OF_A_RUN & set(files) or any(map(_is_hold, files))):
            folders.clear()
            yield Path(place), "run"


def _entry(folder: Path, kind: Literal["study", "run"]) -> Entry:
    size, written = _measured(folder)
    changed = datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
    running = in_use(folder)
    if kind == "run":
        return Entry(folder, kind, None, (Run(folder.name, _seed(folder), folder),), size, changed, running)
    try:
        study = Study.read(folder)
    except InputError as error:
        return Entry(folder, kind, None, (), size, changed, running, str(error))
    # Between its first words and its report a study holds the runs that it makes, and not its own folder.
    running = running or any(in_use(run.folder) for run in study.runs)
    return Entry(folder, kind, study, study.runs, size, changed, running)


def in_use(folder: Path) -> bool:
    """Whether a process holds a folder, here or on another machine; True where that cannot be told."""
    try:
        return holder_of(folder) is not None
    except OSError:
        return True


def _is_hold(name: str) -> bool:
    """Whether a file is what a folder is held by: a lease, or a lock of earlier versions."""
    return name == ".lock" or name.startswith(".lease-")


def _seed(folder: Path) -> int:
    """As the folder's name has it (MODEL-DATA-seed-SEED-FINGERPRINT), else 0."""
    _, _, rest = folder.name.rpartition("seed-")
    seed = rest.rpartition("-")[0]
    return int(seed) if seed.removeprefix("-").isdecimal() and len(seed) < 20 else 0


def _measured(folder: Path) -> tuple[int, float]:
    """Bytes of all regular files, and when one of them was last written."""
    total, last = 0, 0.0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                found = os.lstat(os.path.join(place, name))
            except OSError:  # removed a moment ago
                continue
            if stat.S_ISREG(found.st_mode):
                total += found.st_size
                if not _is_hold(name):
                    last = max(last, found.st_mtime)
    return total, min(last, 4e9)
