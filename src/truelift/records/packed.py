"""A study's small records in one file: what a repository can keep of it.

The file is a JSON object from each record's place in the study's folder to its text: study.json, and of each run the
settings, environment and result or failure. Checkpoints, predictions and curves are left out.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from truelift.errors import InputError, require
from truelift.records.files import read_bytes, write_text
from truelift.records.json_files import MOST_BYTES, read_json
from truelift.records.study import Study

_OF_A_RUN = ("config.toml", "environment.json", "result.json", "failure.json")


def records_of(study: Path) -> dict[str, str]:
    """The small records of a study's folder, by their places in it.

    Raises:
        InputError: It is no study's folder, or one of its records is no text file of records' usual size.
    """
    folders = sorted(run.folder for run in Study.read(study).runs)
    places = [study / "study.json", *(folder / name for folder in folders for name in _OF_A_RUN)]
    return {p.relative_to(study).as_posix(): _text(p) for p in places if p.exists()}


def _text(record: Path) -> str:
    try:
        return read_bytes(record, MOST_BYTES).decode()
    except UnicodeDecodeError as bad:
        raise InputError(f"{record} cannot be read: byte {bad.start} is not UTF-8.") from None


def pack(records: dict[str, str], file: Path) -> None:
    """Write records into one file, a record a line."""
    write_text(file, json.dumps(records, indent=0, ensure_ascii=False) + "\n")


def unpack(file: Path, into: Path) -> Path:
    """Write a file's records out again, into a folder of the file's name; a study goes on from there.

    Args:
        file: From `pack`.
        into: Where the folder is made.

    Raises:
        InputError: The file is none of `pack`'s, or the folder is there already.
    """
    folder = into / file.stem
    require("the folder to unpack into", folder, not folder.exists(), "one that is not there yet")
    records = read_json(file)
    if not isinstance(records, dict) or not all(isinstance(text, str) for text in records.values()):
        raise InputError(f"{file} must hold records by their places, as pack writes them.")
    for place in records:
        path = PurePosixPath(place)
        if path.is_absolute() or ".." in path.parts or path.name not in ("study.json", *_OF_A_RUN):
            raise InputError(f"{file} must hold records of a study alone, got {place}.")
    for place, text in records.items():
        write_text(folder / place, text)
    return folder


@contextlib.contextmanager
def unpacked(file: Path) -> Iterator[Study]:
    """Within it a file's study, whose records lie in a temporary folder.

    Raises:
        InputError: As `unpack`.
    """
    with tempfile.TemporaryDirectory() as made:
        yield Study.read(unpack(file, Path(made)))
