"""What stands in a run's way is renamed, never removed: a person may want to look at it."""

import os
from pathlib import Path

from truelift.errors import InputError
from truelift.records.files import is_regular
from truelift.records.json_files import read_result
from truelift.records.own_result import is_of_program

# What a run writes, and log.txt of the study beside.
_WRITTEN = (
    *("config.toml", "environment.json", "code.patch", "metrics.jsonl", "predictions.npz", "features.npz"),
    *("result.json", "failure.json", "log.txt"),
)


def set_aside(path: Path) -> Path:
    """Rename a file or folder that is of no use, and say how it is called now: NAME.unusable, or with a number."""
    aside, number = path.with_name(f"{path.name}.unusable"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.unusable.{number}")
    os.rename(path, aside)
    return aside


def clear_way(folder: Path) -> list[str]:
    """Set aside what lies where a run writes its records and is no regular file: a folder, a pipe, a link in a circle.

    Args:
        folder: The run's; nothing is done where there is none.

    Returns:
        A sentence for each.
    """
    try:
        there = set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    told = []
    for path in (folder / name for name in _WRITTEN if name in there):
        if not is_regular(path):
            told.append(f"{path} is no regular file: it is {set_aside(path).name} now.")
    return told


def make_room(folder: Path) -> list[str]:
    """Set aside what is in the way of a run that is not finished: a damaged result, and what is no regular file.

    Returns:
        A sentence for each.
    """
    told = clear_way(folder)
    result = folder / "result.json"
    if result.exists():
        try:
            read_result(folder)
            why = f"{result} lacks the metric, or its config.toml is missing or damaged, or is another run's."
            if is_of_program(folder):
                why = f"{result} is no result of truelift's: the program has written a file of that name."
        except InputError as error:
            why = str(error)
        told.append(f"{why} The run is made again; the file is {set_aside(result).name} now.")
    return told
