"""The command line as a user starts it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.commands.started import run

Truelift = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def truelift(tmp_path: Path) -> Truelift:
    """Runs `truelift ARGUMENTS` in an empty folder."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run(arguments, cwd=tmp_path, env={**os.environ, "COLUMNS": "100"})

    return call
