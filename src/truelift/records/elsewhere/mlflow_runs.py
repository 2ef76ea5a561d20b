"""MLflow: its folder of files (mlruns), and its database of SQLite. MLflow itself is not needed to read them."""

import math
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records.elsewhere.cells import finite_or_nan
from truelift.records.elsewhere.databases import opened
from truelift.records.elsewhere.flat_yaml import read_flat_yaml
from truelift.records.elsewhere.run_table import Fact, RunTable, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, series_of, table_of
from truelift.records.files import read_bytes

KIND = "MLflow runs"
MOST_BYTES = 2**28
"""Of one metric's file."""

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_TAGS_OF_MLFLOW = "mlflow."
_NAME = "mlflow.runName"


def is_mlflow_folder(folder: Path) -> bool:
    """Whether a folder holds MLflow's files: experiments, or the runs of one."""
    return any(True for _ in _run_folders(folder))


def read_mlflow_folder(folder: Path, wanted: Wanted) -> RunTable:
    """The runs of all experiments in a folder of files.

    Raises:
        InputError: A file is not what MLflow writes.
    """
    runs = [run for path in _run_folders(folder) if (run := _of_files(path)) is not None]
    return table_of(str(folder), KIND, runs, wanted)


def _run_folders(folder: Path) -> Iterator[Path]:
    for pattern in ("*/meta.yaml", "*/*/meta.yaml"):
        for meta in sorted(folder.glob(pattern)):
            if (meta.parent / "metrics").is_dir() and ".trash" not in meta.parts:
                yield meta.parent


def _of_files(folder: Path) -> TrackedRun | None:
    """None for a run that was deleted."""
    meta = read_flat_yaml(folder / "meta.yaml")
    if meta.get("lifecycle_stage") == "deleted":
        return None
    params = dict(_texts(folder / "params"))
    tags = dict(_texts(folder / "tags"))
    series = {}
    for path in _files(folder / "metrics"):
        lines = read_bytes(path, MOST_BYTES).decode("utf-8", "replace").splitlines()
        try:
            # A line is: when, the value, the step. In the database the largest double stands for infinity.
            points = [(float(parts[2]), finite_or_nan(float(parts[1]))) for parts in map(str.split, lines) if parts]
        except (IndexError, ValueError):
            raise InputError(f"{path} is no metric of MLflow's.") from None
        if points:
            series[path.relative_to(folder / "metrics").as_posix()] = series_of(points)
    experiment = read_flat_yaml(folder.parent / "meta.yaml") if (folder.parent / "meta.yaml").exists() else {}
    name = tags.get(_NAME) or str(meta.get("run_name") or folder.name)
    status = meta.get("status")
    status = _STATUS.get(status, "") if isinstance(status, int) else str(status)
    return _run(name, series, params, tags, experiment.get("name"), status)


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in _files(folder):
        yield path.relative_to(folder).as_posix(), read_bytes(path, MOST_BYTES).decode("utf-8", "replace").strip()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def is_mlflow_database(tables: Iterable[str]) -> bool:
    """Whether a database with these tables is MLflow's."""
    return {"runs", "params", "tags", "metrics", "experiments"} <= set(tables)


def read_mlflow_database(path: Path, wanted: Wanted) -> RunTable:
    """The runs of all experiments in a database of SQLite.

    Raises:
        InputError: It cannot be read.
    """
    with opened(path) as database:
        runs = list(_of_database(database))
    return table_of(str(path), KIND, runs, wanted)


def _of_database(database: sqlite3.Connection) -> Iterator[TrackedRun]:
    experiments = dict(database.execute("SELECT experiment_id, name FROM experiments"))
    runs = database.execute(
        "SELECT run_uuid, name, status, experiment_id FROM runs "
        "WHERE lifecycle_stage = 'active' ORDER BY start_time, rowid"
    ).fetchall()
    for run, name, status, experiment in runs:
        params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)))
        tags = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
        points: dict[str, list[tuple[float, float]]] = {}
        query = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp"
        for key, step, value, is_nan in database.execute(query, (run,)):
            point = (float(step), math.nan if is_nan else finite_or_nan(value))
            points.setdefault(key, []).append(point)
        series = {key: series_of(found) for key, found in points.items()}
        yield _run(tags.get(_NAME) or name or run, series, params, tags, experiments.get(experiment), status)


def _run(name: str, series: Any, params: Any, tags: Any, experiment: Any, status: str) -> TrackedRun:
    own = {key: value for key, value in tags.items() if not key.startswith(_TAGS_OF_MLFLOW)}
    facts: dict[str, Fact] = {**({"experiment": experiment} if experiment else {}), **own, **params}
    failed = f"MLflow says {status}" if status in ("FAILED", "KILLED") else None
    return TrackedRun(name, series, facts, failed)
