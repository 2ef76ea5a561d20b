"""Hugging Face's Trainer: trainer_state.json in the folder of a run or of its checkpoints."""

import json
import math
from pathlib import Path

from truelift.errors import InputError, is_number, one_line
from truelift.records.elsewhere.cells import finite_or_nan
from truelift.records.elsewhere.run_table import RunTable, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, name_of, series_of, table_of
from truelift.records.files import read_bytes

KIND = "Trainer runs"
STATE = "trainer_state.json"
MOST_BYTES = 2**28
"""Of a state."""

_CHECKPOINT = "checkpoint-"


def state_files(folder: Path) -> dict[Path, Path]:
    """To each run's folder its newest state: its own, or that of its last checkpoint."""
    found: dict[Path, tuple[float, Path]] = {}
    for path in sorted(folder.rglob(STATE)):
        home, steps = path.parent, math.inf
        if home.name.startswith(_CHECKPOINT):
            number = home.name.removeprefix(_CHECKPOINT)
            home, steps = home.parent, float(number) if number.isdecimal() else 0.0
        if home not in found or steps > found[home][0]:
            found[home] = steps, path
    return {home: path for home, (_, path) in found.items()}


def read_trainer(folder: Path, wanted: Wanted) -> RunTable:
    """A run an output folder, named by its path; the variant and the seed are looked for in that.

    Raises:
        InputError: A state is damaged.
    """
    runs = [_run(name_of(home, folder), path) for home, path in state_files(folder).items()]
    return table_of(str(folder), KIND, runs, wanted)


def _run(name: str, path: Path) -> TrackedRun:
    content = read_bytes(path, MOST_BYTES)
    try:
        state = json.loads(content.decode("utf-8-sig"))  # NaN too, which a Trainer writes
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {one_line(error)}.") from None
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise InputError(f"{path} is no state of a Trainer: log_history must be a list of objects.")
    points: dict[str, list[tuple[float, float]]] = {}
    for entry in history:
        step = entry.get("step")
        if not isinstance(step, int | float):
            continue
        for key, value in entry.items():
            if key != "step" and is_number(value):
                points.setdefault(key, []).append((finite_or_nan(step), finite_or_nan(value)))
    return TrackedRun(name, {key: series_of(found) for key, found in points.items()})
