"""The reader for what a user has: a file, a folder, or a table in memory."""

import os
import shlex
from pathlib import Path
from typing import Any

from truelift.errors import InputError, named
from truelift.records.elsewhere import (
    csv_runs,
    lightning_runs,
    mlflow_runs,
    tensorboard_runs,
    trackio_runs,
    trainer_runs,
)
from truelift.records.elsewhere import wandb_runs as wandb
from truelift.records.elsewhere.columns import Columns
from truelift.records.elsewhere.databases import opened, tables
from truelift.records.elsewhere.delimited import read_delimited
from truelift.records.elsewhere.frames import SOURCE, read_frame
from truelift.records.elsewhere.json_lines import read_json_lines
from truelift.records.elsewhere.parquet_table import read_parquet
from truelift.records.elsewhere.replicates import checked
from truelift.records.elsewhere.run_table import RunTable, Wanted
from truelift.records.elsewhere.table import runs_of

_DATABASES = (".db", ".sqlite", ".sqlite3")
_TABLES = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".txt": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json_lines,
    ".parquet": read_parquet,
    ".pq": read_parquet,
}
_FORMS = (
    "a table (.csv, .tsv, .jsonl, .json, .parquet), a database of MLflow or Trackio (.db), or a folder of MLflow, "
    "TensorBoard, Weights & Biases, Lightning or a Trainer, or of one .csv a run"
)


def read_runs(source: Any, wanted: Wanted) -> RunTable:
    """The runs of a path, or of a table in memory.

    Args:
        source: A path, a pandas or polars frame, a dict of lists, or a list of dicts.
        wanted: What the user said of it.

    Raises:
        InputError: It is none of what can be read, it is damaged, or a row is a summary of others.
    """
    if not isinstance(source, str | os.PathLike):
        with named(SOURCE):
            return checked(runs_of(read_frame(source), wanted))
    path = Path(str(source).removeprefix("sqlite:///"))
    with named(str(path)):
        return checked(_of_path(path, wanted))


def _of_path(path: Path, wanted: Wanted) -> RunTable:
    if path.is_dir():
        return _folder(path, wanted)
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if path.name == trainer_runs.STATE:
        return trainer_runs.read_trainer(path.parent, wanted)
    ending = path.suffix.lower()
    if ending in _DATABASES:
        return _database(path, wanted)
    if ending not in _TABLES:
        raise InputError(f"{path} must be {_FORMS}.")
    return _table(_TABLES[ending](path), wanted)


def _table(table: Columns, wanted: Wanted) -> RunTable:
    return wandb.read_chart(table, wanted) if wandb.is_chart(list(table.cells)) else runs_of(table, wanted)


def _database(path: Path, wanted: Wanted) -> RunTable:
    with opened(path) as database:
        names = tables(database)
    if mlflow_runs.is_mlflow_database(names):
        return mlflow_runs.read_mlflow_database(path, wanted)
    if trackio_runs.is_trackio(names):
        return trackio_runs.read_trackio(path, wanted)
    raise InputError(
        f"{path} is no database of MLflow or Trackio: its tables are {', '.join(sorted(names)) or 'none'}."
    )


def _folder(folder: Path, wanted: Wanted) -> RunTable:
    if (folder / "study.json").exists():
        raise InputError(f"{folder} is a study of truelift's: `truelift report {shlex.quote(str(folder))}` judges it.")
    if mlflow_runs.is_mlflow_folder(folder):
        return mlflow_runs.read_mlflow_folder(folder, wanted)
    if trainer_runs.state_files(folder):  # before event files, which a Trainer writes beside it
        return trainer_runs.read_trainer(folder, wanted)
    if wandb.offline_logs(folder):
        return wandb.read_offline(folder, wanted)
    if lightning_runs.lightning_folders(folder):
        return lightning_runs.read_lightning(folder, wanted)
    if tensorboard_runs.event_folders(folder):
        return tensorboard_runs.read_tensorboard(folder, wanted)
    databases = sorted(path for path in folder.iterdir() if path.suffix.lower() in _DATABASES)
    if len(databases) == 1:
        return _database(databases[0], wanted)
    if databases:
        raise InputError(f"{folder} has several databases: name one of {', '.join(p.name for p in databases)}.")
    if csv_runs.csv_files(folder):
        return csv_runs.read_csv_runs(folder, wanted)
    raise InputError(f"{folder} holds no runs that can be read: it must be {_FORMS}.")
