"""PyTorch Lightning's CSVLogger: folders with metrics.csv and hparams.yaml."""

import math
import re
from pathlib import Path

from truelift.records.elsewhere.cells import is_words, number
from truelift.records.elsewhere.delimited import read_delimited
from truelift.records.elsewhere.flat_yaml import read_flat_yaml
from truelift.records.elsewhere.names import STEPS, find, given, resolved
from truelift.records.elsewhere.run_table import Fact, RunTable, Series, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, name_of, series_of, table_of

KIND = "Lightning runs"


def lightning_folders(folder: Path) -> list[Path]:
    """Folders of versions: those with a metrics.csv."""
    return sorted((path.parent for path in folder.rglob("metrics.csv")), key=_natural)


def read_lightning(folder: Path, wanted: Wanted) -> RunTable:
    """A run a version, named by its path, with the settings of its hparams.yaml.

    Raises:
        InputError: A metrics.csv is damaged.
    """
    runs = [_run(path, name_of(path, folder)) for path in lightning_folders(folder)]
    return table_of(str(folder), KIND, runs, wanted)


def _run(path: Path, name: str) -> TrackedRun:
    facts: dict[str, Fact] = read_flat_yaml(path / "hparams.yaml") if (path / "hparams.yaml").exists() else {}
    return TrackedRun(name, series_in(path / "metrics.csv")[0], facts)


def series_in(path: Path, step: str | None = None) -> tuple[dict[str, Series], str]:
    """The quantities of a CSV with a row a step, and what counts its steps: `step`, a usual name, or else the row.

    Columns of words alone, such as a phase or a date, are passed over.

    Raises:
        InputError: It is damaged.
    """
    table = read_delimited(path)
    if step is not None:
        given("column of steps", resolved(step, table.cells), table.cells)
    counts = next(iter(find(STEPS if step is None else (step,), table.cells)), "row")
    steps = table.cells.get(counts)
    series = {}
    for key, cells in table.cells.items():
        if key == counts or is_words(cells):
            continue
        points = []
        for i, cell in enumerate(cells):
            at = f"{path}, {table.places[i]}"
            value = _number(cell, key, at)
            at_step = number(steps[i], counts, at) if steps else float(i)
            if value is not None and at_step is not None:
                points.append((at_step, value))
        if points:
            series[key] = series_of(points)
    return series, counts


def _number(cell: Fact, column: str, place: str) -> float | None:
    # Lightning writes "inf" where a loss overflows: a diverged training, which is what NaN stands for.
    if isinstance(cell, str) and cell.strip().lower() in ("inf", "-inf"):
        return math.nan
    return number(cell, column, place)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """version_2 before version_10."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
