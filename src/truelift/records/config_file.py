"""config.toml: what a run is to be, or was.

A program of the user's may write a file of that name, so there is a copy while it runs, which counts before the file.
"""

import contextlib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truelift.errors import InputError, one_line
from truelift.records.files import read_bytes, write_text
from truelift.records.leases import is_lost

MOST_BYTES = 2**24
_KEPT = ".config.toml"


def read_config_file(folder: Path) -> dict[str, Any]:
    """The tables of a run's config.toml.

    Raises:
        InputError: It is missing, no regular file, too large, or is not TOML.
    """
    path = folder / _KEPT
    if not os.path.lexists(path):
        path = folder / "config.toml"
    content = read_bytes(path, MOST_BYTES)
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as TOML: {one_line(error)}.") from None


def write_config_file(folder: Path, text: str) -> None:
    """Write config.toml whole; a copy that a killed run has left no longer counts."""
    write_text(folder / "config.toml", text)
    (folder / _KEPT).unlink(missing_ok=True)


@contextlib.contextmanager
def kept_config(folder: Path) -> Iterator[None]:
    """Keep config.toml while a program runs in a leased folder: what it has written in its place is replaced then.

    Where this process is killed the copy stays, and whoever takes up the run goes by it.
    """
    kept, path = folder / _KEPT, folder / "config.toml"
    if not os.path.lexists(kept) and os.path.lexists(path):
        write_text(kept, read_bytes(path, MOST_BYTES).decode())
    try:
        yield
    finally:
        if not is_lost(folder):
            with contextlib.suppress(OSError):  # there is none; or a folder is in its place, and the copy counts on
                os.replace(kept, path)
