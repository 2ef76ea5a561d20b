"""Two processes over gloo, against one with all images in float64."""

from typing import Any

import pytest
import torch
from tests.commands.started import in_processes
from tests.unit.training.exchange_workers import images, layouts, make_network, work

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("processes")
    in_processes(work, (2, str(folder)), 2)
    return [torch.load(folder / f"found{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("step", [0, 1], ids=["all layers", "one frozen"])
@pytest.mark.parametrize("bucket_bytes", [1, 500, 10**9])
def test_gradients_are_those_of_all_images(
    found: list[dict[Any, dict[str, Any]]], bucket_bytes: int, step: int
) -> None:
    network = make_network()
    network[2].requires_grad_(step == 0)
    loss = network(images(step)).square().mean()
    loss.backward()
    first, second = (each[bucket_bytes, step] for each in found)
    assert first["loss"].item() == second["loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    for name, parameter in network.named_parameters():
        mine, other = first["gradients"][name], second["gradients"][name]
        if parameter.grad is None:
            assert mine is other is None
            continue
        assert torch.equal(mine, other), name
        assert mine.stride() == parameter.grad.stride(), name
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-12, atol=1e-14, msg=name)
    for each in (first, second):
        assert torch.equal(each["written"], torch.full((2, 3), 0.5))


def test_tensors_of_every_layout_are_averaged_where_they_lie(found: list[dict[Any, Any]]) -> None:
    first, second = (layouts(rank) for rank in range(2))
    for each in found:
        for name, tensor in each["layouts"].items():
            assert torch.equal(tensor, (first[name] + second[name]) / 2), name
