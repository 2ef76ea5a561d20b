"""The command line as a user starts it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Truelift = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def truelift(tmp_path: Path) -> Truelift:
    """Runs `truelift ARGUMENTS` in an empty folder."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "truelift", *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "100"}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, env=environment)

    return call
