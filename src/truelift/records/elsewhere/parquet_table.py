"""Parquet files."""

from pathlib import Path

from truelift.errors import InputError, one_line
from truelift.records.elsewhere.columns import MOST_CELLS, Columns
from truelift.records.elsewhere.frames import of_columns
from truelift.records.elsewhere.run_table import Fact


def read_parquet(path: Path) -> Columns:
    """The table in a parquet file.

    Raises:
        InputError: It is none, or too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path} is no regular file.")
    try:
        with pq.ParquetFile(path) as file:
            size = file.metadata.num_rows * file.metadata.num_columns
            if size > MOST_CELLS:
                raise InputError(f"{path} has {size:,} cells, more than the {MOST_CELLS:,} it may have.")
            table = file.read()
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as parquet: {one_line(error)}.") from None
    names = [str(name) for name in table.column_names]
    columns: list[tuple[str, list[Fact]]] = []
    for i, name in enumerate(names):
        if not name.startswith("__index_level_"):  # pandas's row numbers
            columns.append((name, table.column(i).to_pylist()))
    return of_columns(str(path), columns)
