"""Two processes with half of the images each, against one with all."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.commands.started import in_processes
from tests.unit.techniques.gradient_similarity.similarity_workers import CASES, STEPS, train, work

# One a loss, and a small one that finds out whether all reach the same weights.
EACH_STEP = 3
COLLECTIVES = {"one pass": 4 * STEPS, "now and then": 3 * 17 + 4 * 33}  # one more for what is not measured


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("similarity")
    in_processes(work, (2, str(folder)), 2)
    return [torch.load(folder / f"found{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_equals_one_process(found: list[dict[str, Any]], case: str) -> None:
    alone = train(case)
    for process in found:
        for name, expected in alone.items():
            torch.testing.assert_close(process[case][name], expected, rtol=1e-10, atol=1e-10)
        assert process[case]["collectives"] == COLLECTIVES.get(case, EACH_STEP * STEPS)
    assert all(torch.equal(found[0][case][name], found[1][case][name]) for name in alone)
    auxiliary = alone["weights"][..., 1]
    assert auxiliary.min() < auxiliary.max()
