"""Tables in memory: a pandas or polars frame, a dict of lists, a list of dicts. Neither library is imported."""

import contextlib
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from truelift.errors import InputError
from truelift.records.elsewhere.columns import Columns, checked
from truelift.records.elsewhere.json_lines import of_objects
from truelift.records.elsewhere.replicates import refuse_summaries
from truelift.records.elsewhere.run_table import Fact

SOURCE = "the table"
"""What messages call a table in memory."""


def read_frame(table: Any) -> Columns:
    """A frame (anything with `columns` or `column_names` and a column by name), a dict of lists, or a list of dicts.

    A pandas index with a name is a column too.

    Raises:
        InputError: It is none of these, its columns are of different lengths, or its index calls a row a summary.
    """
    labels = getattr(table, "column_names", None)  # Arrow's, a list; in pandas a column's name is an attribute too
    labels = labels if isinstance(labels, list) else getattr(table, "columns", None)
    if labels is not None and hasattr(table, "__getitem__"):
        names = [str(name) for name in labels]
        if len(set(names)) < len(names):
            return checked(SOURCE, names, {}, [])
        columns = [(str(name), _listed(table[name])) for name in labels]
        levels = list(getattr(getattr(table, "index", None), "names", ()))
        if levels == [None]:
            refuse_summaries(SOURCE, ((label, f"row {i}") for i, label in enumerate(_listed(table.index), 1)))
        named = [n for n in levels if n is not None]
        index = [(str(n), _listed(table.index.get_level_values(n))) for n in named]
        return of_columns(SOURCE, [*(c for c in index if c[0] not in names), *columns])
    if isinstance(table, Mapping):
        for name, values in table.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise InputError(f'{SOURCE}: "{name}" must be a list, got {type(values).__name__}.')
        return of_columns(SOURCE, [(str(name), _listed(values)) for name, values in table.items()])
    if isinstance(table, Sequence) and not isinstance(table, str):
        return of_objects(SOURCE, [(f"row {i}", _entry(entry)) for i, entry in enumerate(table, start=1)])
    raise InputError(
        f"{SOURCE} must be a pandas or polars frame, a dict of lists, a list of dicts or a path, "
        f"got {type(table).__name__}."
    )


def of_columns(source: str, columns: Sequence[tuple[str, list[Fact]]]) -> Columns:
    """The table of columns of one length.

    Raises:
        InputError: They differ in length.
    """
    rows = len(columns[0][1]) if columns else 0
    for name, values in columns:
        if len(values) != rows:
            raise InputError(f'{source}: "{name}" has {len(values)} rows, "{columns[0][0]}" has {rows}.')
    names = [name for name, _ in columns]
    cells = {name: [_fact(value) for value in values] for name, values in columns}
    return checked(source, names, cells, [f"row {i}" for i in range(1, rows + 1)])


def _listed(values: Any) -> list[Any]:
    """A column's cells; what pandas holds for a missing one, NaN, is None, as in the file that it would write."""
    for name in ("tolist", "to_pylist"):
        if hasattr(values, name):
            found = list(getattr(values, name)())
            if not hasattr(values, "isna"):
                return found
            return [None if missing else cell for cell, missing in zip(found, values.isna().tolist(), strict=True)]
    return list(values)


def _entry(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    items = ((str(name), value) for name, value in entry.items())
    return {name: _entry(value) if isinstance(value, Mapping) else _fact(value) for name, value in items}


def _fact(value: Any) -> Fact:
    """A cell of whatever library as one of Python's own."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "item"):  # numpy's and torch's scalars
        with contextlib.suppress(ValueError, RuntimeError):  # an array is a text, as a list is
            value = value.item()
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, numbers.Real) or type(value).__name__ == "Decimal":
        return float(value)
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)
