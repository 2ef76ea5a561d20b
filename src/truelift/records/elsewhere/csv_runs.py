"""A folder of one CSV a run, with a row a step, as many programs log: the path tells the variant and the seed."""

from collections.abc import Sequence
from pathlib import Path

from truelift.errors import InputError
from truelift.records.elsewhere.lightning_runs import series_in
from truelift.records.elsewhere.names import name_parts
from truelift.records.elsewhere.run_table import RunTable, Wanted
from truelift.records.elsewhere.tracked import TrackedRun, table_of

KIND = "CSV files"


def csv_files(folder: Path) -> list[Path]:
    """All of them, at any depth."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".csv" and path.is_file())


def read_csv_runs(folder: Path, wanted: Wanted) -> RunTable:
    """A run a file, named by its path; by its folder's where all files have one name, as log.csv.

    Raises:
        InputError: A name tells no seed, so that the file may be a table of many runs; or a file is damaged.
    """
    files = csv_files(folder)
    names = _names([path.relative_to(folder) for path in files])
    for path, name in zip(files, names, strict=True):
        if name_parts(name)[1] is None:
            raise InputError(
                f"{folder} is no folder of one table a run: {path.relative_to(folder)} tells no seed, as plain_s0.csv "
                "or plain/seed-0/log.csv do. If one table has all runs, name it."
            )
    found = [series_in(path, wanted.step) for path in files]
    runs = [TrackedRun(name, series) for name, (series, _) in zip(names, found, strict=True)]
    return table_of(str(folder), KIND, runs, wanted, counts=found[0][1])


def _names(paths: Sequence[Path]) -> list[str]:
    alike = len({path.name for path in paths}) == 1 and all(path.parent.parts for path in paths)
    return [(path.parent if alike else path.with_suffix("")).as_posix() for path in paths]
