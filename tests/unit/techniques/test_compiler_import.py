"""What torch imports with a first pass is imported before the training's clock runs: as the part is made."""

import subprocess
import sys

import pytest

BEGIN = """
import sys
from types import SimpleNamespace
import torch
from torch import nn
from truelift.models.recompute import Recomputed
from truelift.techniques.freezeout import ActivationCache
from truelift.techniques.freezeout.representation import RepresentationSignal
network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
layers = [[layer] for layer in network]
assert "torch._dynamo" not in sys.modules
"""
PARTS = {
    "recompute": "Recomputed(network)",
    "representation": "RepresentationSignal(network, layers, torch.ones(2, 2), 0.1)",
    "cache": "ActivationCache(network, SimpleNamespace(layers=layers, frozen=0), samples=4, budget_bytes=99)",
}


@pytest.mark.parametrize("part", PARTS)
def test_torchs_compiler_is_imported_as_the_part_is_made(part: str) -> None:
    end = "\nassert 'torch._dynamo' in sys.modules"
    subprocess.run([sys.executable, "-c", BEGIN + PARTS[part] + end], check=True)
