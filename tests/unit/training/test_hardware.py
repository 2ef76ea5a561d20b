"""CPU threads: what is asked for, else what OMP_NUM_THREADS says, else all cores."""

import os
import subprocess
import sys

import pytest
import torch

from truelift.errors import InputError
from truelift.processes import available_cores
from truelift.training.hardware import use_threads

SHOW = """
import torch
from truelift.training.hardware import use_threads
use_threads({})
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("asked", "environment", "used"),
    [("None", {"OMP_NUM_THREADS": "1"}, 1), ("2", {"OMP_NUM_THREADS": "1"}, 2), ("None", {}, available_cores())],
)
def test_threads(asked: str, environment: dict[str, str], used: int) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    shown = subprocess.check_output([sys.executable, "-c", SHOW.format(asked)], env=inherited | environment)
    assert int(shown) == used


def test_none_at_all_is_refused() -> None:
    before = torch.get_num_threads()
    with pytest.raises(InputError, match=r"threads must be at least 1, got 0."):
        use_threads(0)
    assert torch.get_num_threads() == before
