"""Whose a result.json is: a program of the user's may write a file of that name too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.records.config_file import read_config_file
from truelift.records.json_files import read_result

OF_PROGRAM = ("command", "args", "seed")
"""What makes a program's run another run; truelift's result of one repeats them from its config.toml."""


def is_own(result: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a result can be truelift's own of a run; of a training's nobody else writes one.

    Args:
        result: The content of result.json.
        config: That of the run's config.toml.
    """
    return "command" not in config or all(name in result and result[name] == config.get(name) for name in OF_PROGRAM)


def is_of_program(folder: Path) -> bool:
    """Whether the result.json that a run's folder has was written by the program, and so says nothing of its end."""
    try:
        config = read_config_file(folder)
    except InputError:
        return False
    if "command" not in config:
        return False
    try:
        return not is_own(read_result(folder), config)
    except InputError:
        return True
