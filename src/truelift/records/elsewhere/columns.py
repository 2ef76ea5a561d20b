"""A table by columns, as files and frames give it, before anybody knows what its columns mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truelift.errors import InputError
from truelift.records.elsewhere.run_table import Fact

MOST_CELLS = 50_000_000
"""Rows times columns."""


@dataclass(frozen=True)
class Columns:
    """A table of n rows."""

    source: str
    cells: Mapping[str, list[Fact]]
    """By the column's name, a cell a row."""
    places: Sequence[str]
    """Where each row stands, for messages: "line 4"."""

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.places)


def checked(source: str, names: Sequence[str], cells: Mapping[str, list[Fact]], places: Sequence[str]) -> Columns:
    """The table, if it has named columns and rows.

    Raises:
        InputError: It has none, two columns share a name, or it is too large.
    """
    if not names:
        raise InputError(f"{source} has no columns.")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'{source} has several columns named "{name}": give each a name of its own.')
    if not places:
        raise InputError(f"{source} has a header and no rows.")
    if len(names) * len(places) > MOST_CELLS:
        raise InputError(f"{source} has {len(names) * len(places):,} cells, more than the {MOST_CELLS:,} it may have.")
    return Columns(source, cells, places)
