"""config.toml: what a run is to be, or was."""

import tomllib
from pathlib import Path
from typing import Any

from truelift.errors import InputError, one_line
from truelift.records.files import read_bytes

MOST_BYTES = 2**24


def read_config_file(folder: Path) -> dict[str, Any]:
    """The tables of a run's config.toml.

    Raises:
        InputError: It is missing, no regular file, too large, or is not TOML.
    """
    path = folder / "config.toml"
    content = read_bytes(path, MOST_BYTES)
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as TOML: {one_line(error)}.") from None
