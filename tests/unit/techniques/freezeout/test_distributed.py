"""Two processes with half of the images each, wrapped anew at each freezing."""

from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from freezeout_cases import make_network
from freezeout_workers import STEPS, work


@pytest.mark.timeout(60)
def test_replicas_agree_and_frozen_layers_are_not_communicated(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, args=(2, str(tmp_path)), nprocs=2, join=True)
    first, second = (torch.load(tmp_path / f"found{rank}.pt") for rank in range(2))
    assert first["frozen"] == 3
    start = dict(make_network().named_parameters())
    for name, tensor in first["parameters"].items():
        assert torch.equal(tensor, second["parameters"][name]), name
        # A convolution's bias before a batch norm has no gradient but rounding.
        assert name.endswith("0.bias") or not torch.equal(tensor, start[name]), name
    assert all(torch.equal(first["buffers"][name], second["buffers"][name]) for name in first["buffers"])
    # Numbers of each layer: 2·4·9 + 4 + 8, twice 4·4·9 + 4 + 8, 4·3 + 3; they leave after steps 4, 9⅓ and 14⅔.
    layers = [84, 156, 156, 15]
    expected = [sum(layers[(step > 4) + (step > 28 / 3) + (step > 44 / 3) :]) for step in range(STEPS)]
    assert first["sizes"] == second["sizes"] == expected
