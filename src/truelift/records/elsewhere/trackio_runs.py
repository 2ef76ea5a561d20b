"""Trackio: a database of SQLite a project. Trackio itself is not needed to read it."""

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from truelift.errors import InputError, is_number
from truelift.records.elsewhere.cells import finite_or_nan
from truelift.records.elsewhere.databases import opened
from truelift.records.elsewhere.json_lines import flat
from truelift.records.elsewhere.run_table import RunTable, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, series_of, table_of

KIND = "Trackio runs"
_NO_NUMBERS = {"NaN": math.nan, "Infinity": math.nan, "-Infinity": math.nan}


def is_trackio(tables: Iterable[str]) -> bool:
    """Whether a database with these tables is Trackio's."""
    return {"metrics", "configs"} <= set(tables)


def read_trackio(path: Path, wanted: Wanted) -> RunTable:
    """The runs of a project.

    Raises:
        InputError: It cannot be read.
    """
    with opened(path) as database:
        runs = list(_runs(database, path))
    return table_of(str(path), KIND, runs, wanted)


def _runs(database: sqlite3.Connection, path: Path) -> Iterator[TrackedRun]:
    columns = {row[1] for row in database.execute("PRAGMA table_info(metrics)")}
    key = "run_id" if "run_id" in columns else "run_name"  # earlier versions know runs by their names alone
    configs = {run: _object(path, text) for run, text in database.execute(f"SELECT {key}, config FROM configs")}
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    names: dict[str, str] = {}
    for run, name, step, text in database.execute(f"SELECT {key}, run_name, step, metrics FROM metrics ORDER BY id"):
        names[run] = name
        of_run = points.setdefault(run, {})
        for metric, value in _object(path, text).items():
            found = _NO_NUMBERS.get(value, value) if isinstance(value, str) else value
            if is_number(found):
                of_run.setdefault(metric, []).append((float(step), finite_or_nan(found)))
    for run, of_run in points.items():
        config = configs.get(run, {})
        facts = flat({name: value for name, value in config.items() if not name.startswith("_")})
        if config.get("_Group"):
            facts["group"] = str(config["_Group"])
        yield TrackedRun(names[run], {metric: series_of(found) for metric, found in of_run.items()}, facts)


def _object(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise InputError(f"{path} is damaged: a row is not JSON.") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged: a row is no JSON object.")
    return found
