"""Two processes with half of the images each, wrapped anew at each freezing."""

from typing import Any

import pytest
import torch
from tests.commands.started import in_processes
from tests.unit.techniques.freezeout.freezeout_cases import make_network
from tests.unit.techniques.freezeout.freezeout_workers import STEPS, work

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    in_processes(work, (2, str(folder)), 2)
    return [torch.load(folder / f"found{rank}.pt") for rank in range(2)]


def test_replicas_agree_and_frozen_layers_are_not_communicated(found: list[dict[str, Any]]) -> None:
    first, second = (each["freezeout"] for each in found)
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


@pytest.mark.parametrize("signal", ["gradient", "representation"])
def test_replicas_decide_alike(found: list[dict[str, Any]], signal: str) -> None:
    first, second = (each[signal] for each in found)
    assert first["stages"] == second["stages"] != [1.0] * 4
    assert all(torch.equal(a, b) for a, b in zip(first["parameters"], second["parameters"], strict=True))


def test_a_run_that_goes_on_from_the_first_ones_state_is_the_undisturbed_run(found: list[dict[str, Any]]) -> None:
    for each in found:
        undisturbed, resumed = each["representation"], each["resumed"]
        assert undisturbed["stages"] == resumed["stages"]
        assert undisturbed["signal"]["averages"] == resumed["signal"]["averages"]
        assert all(map(torch.equal, undisturbed["parameters"], resumed["parameters"]))
