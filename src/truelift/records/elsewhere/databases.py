"""SQLite databases, opened for reading alone."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from truelift.errors import InputError, one_line


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database; nothing is written to it.

    Raises:
        InputError: It is none, or what is asked of it inside the block is not there.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be read as a database: {one_line(error)}.") from None


def tables(database: sqlite3.Connection) -> set[str]:
    """The names of its tables."""
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
