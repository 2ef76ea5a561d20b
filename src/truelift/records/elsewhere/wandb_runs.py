"""Weights & Biases: folders of offline runs, and tables exported from a chart.

Offline runs are logs of records in blocks of 32 KiB, as LevelDB's, each with a checksum; what is in a record is told by
the library's own definitions (`pip install 'truelift[judge]'`).
"""

import json
import math
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from truelift.errors import InputError, is_number
from truelift.records.elsewhere import names as usual
from truelift.records.elsewhere.cells import finite_or_nan, number
from truelift.records.elsewhere.columns import Columns
from truelift.records.elsewhere.json_lines import flat
from truelift.records.elsewhere.run_table import Fact, RunTable, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, series_of, table_of
from truelift.records.files import read_bytes

KIND = "Weights & Biases runs"
MOST_BYTES = 2**30
"""Of one run's log."""

_HEADER = struct.Struct("<IHB")
_START = 7  # the file's own header: ":W&B", a magic number and a version
_BLOCK = 32768
_FULL, _FIRST, _LAST = 1, 2, 4
_OF_CHART = re.compile(r"(.+) - (.+)")


def offline_logs(folder: Path) -> list[Path]:
    """The logs of offline runs, in the order of their names, each run once."""
    found = (path for path in folder.rglob("run-*.wandb") if path.is_file())
    return sorted({path.resolve(): path for path in sorted(found)}.values())  # latest-run is a link to one of them


def read_offline(folder: Path, wanted: Wanted) -> RunTable:
    """A run a log, with its configuration, group, job type and tags.

    Raises:
        InputError: wandb is not installed, or a log is damaged.
    """
    try:
        from wandb.proto import wandb_internal_pb2
    except ImportError:
        raise InputError(f"{folder} holds runs of Weights & Biases: pip install wandb to read them.") from None
    runs: dict[str, TrackedRun] = {}
    for path in offline_logs(folder):  # by the time at which they began
        run, before = _run(path, wandb_internal_pb2.Record), runs.get(path.stem)
        runs[path.stem] = run if before is None else _gone_on(before, run)
    return table_of(str(folder), KIND, list(runs.values()), wanted)


def _gone_on(before: TrackedRun, run: TrackedRun) -> TrackedRun:
    """A run that was stopped and went on under its id, which is in the file's name: offline that is another log."""
    points: dict[str, list[tuple[float, float]]] = {}
    for name, one in (*before.series.items(), *run.series.items()):
        points.setdefault(name, []).extend(zip(one.steps.tolist(), one.values.tolist(), strict=True))
    series = {name: series_of(found) for name, found in points.items()}
    return TrackedRun(run.name, series, {**before.facts, **run.facts}, run.failed)


def _run(path: Path, kind: Any) -> TrackedRun:
    name, failed = path.stem, None
    facts: dict[str, Fact] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    for content in _records(path):
        record = kind.FromString(content)
        match record.WhichOneof("record_type"):
            case "run":
                name = record.run.display_name or record.run.run_id or name
                facts |= _settings(record.run.config.update)
                of_run = {"group": record.run.run_group, "job_type": record.run.job_type}
                facts |= {key: value for key, value in of_run.items() if value}
            case "config":
                facts |= _settings(record.config.update)
            case "history":
                items = {".".join(i.nested_key) if i.nested_key else i.key: i.value_json for i in record.history.item}
                step = float(record.history.step.num)
                for key, written in items.items():
                    value = _number(written)
                    if value is not None and not key.startswith("_"):
                        points.setdefault(key, []).append((step, value))
            case "exit":
                failed = f"it ended with status {record.exit.exit_code}" if record.exit.exit_code else None
    return TrackedRun(name, {key: series_of(found) for key, found in points.items()}, facts, failed)


def _records(path: Path) -> Iterator[bytes]:
    """Each record's bytes; a last one that was cut short is left out, as of a run that was killed.

    Raises:
        InputError: It is no such log, or a checksum is wrong.
    """
    log = read_bytes(path, MOST_BYTES)
    if not log.startswith(b":W&B"):
        raise InputError(f"{path} is no log of Weights & Biases.")
    at, parts = _START, b""
    while at + _HEADER.size <= len(log):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:  # the rest of a block that holds no header
            at += left
            continue
        checksum, length, part = _HEADER.unpack_from(log, at)
        body = log[at + _HEADER.size : at + _HEADER.size + length]
        if len(body) < length:
            return
        if zlib.crc32(bytes([part]) + body) != checksum:
            raise InputError(f"{path} is damaged: a wrong checksum at byte {at}.")
        at += _HEADER.size + length
        parts = body if part in (_FULL, _FIRST) else parts + body
        if part in (_FULL, _LAST):
            yield parts


def _settings(updates: Any) -> dict[str, Fact]:
    found: dict[str, Any] = {}
    for update in updates:
        key = ".".join(update.nested_key) if update.nested_key else update.key
        if not key.startswith("_"):
            found[key] = json.loads(update.value_json)
    return flat(found)


def _number(written: str) -> float | None:
    try:
        value = json.loads(written)
    except ValueError:
        return None
    if value in ("NaN", "Infinity", "-Infinity"):
        return math.nan
    return finite_or_nan(value) if is_number(value) else None


def is_chart(columns: Sequence[str]) -> bool:
    """Whether a table is the export of a chart: steps, and a column "run - metric" a run."""
    usual_steps = (*usual.STEPS, "relative_time", "relative_time_(process)", "relative_time_(wall)", "wall_time")
    return (
        len(columns) > 1
        and usual.plain(columns[0]) in usual_steps
        and all(_OF_CHART.fullmatch(column) for column in columns[1:])
    )


def read_chart(table: Columns, wanted: Wanted) -> RunTable:
    """The runs of an exported chart, by their names; the columns of minima and maxima are left out.

    Raises:
        InputError: A cell is no number.
    """
    names = list(table.cells)
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for column in names[1:]:
        match = _OF_CHART.fullmatch(column)
        assert match is not None
        if match[2].endswith(("__MIN", "__MAX")) or match[2] == "_step":
            continue
        found = points.setdefault(match[1], {}).setdefault(match[2], [])
        for i, place in enumerate(table.places):
            at = f"{table.source}, {place}"
            step, value = number(table.cells[names[0]][i], names[0], at), number(table.cells[column][i], column, at)
            if step is not None and value is not None:
                found.append((step, value))
    runs = [
        TrackedRun(name, {metric: series_of(found) for metric, found in of_run.items() if found})
        for name, of_run in points.items()
    ]
    return table_of(table.source, KIND, runs, wanted, counts=names[0])
