"""The whole head in DistributedDataParallel: what it tracks must stay equal in all replicas."""

from pathlib import Path

import torch
import torch.distributed as dist

# Imported while a group is there it would keep it for good; the group's threads then may abort the process's end.
import torch.distributed.nn.functional
from tests.commands.started import in_processes
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from truelift.techniques.gaussian_mixture import GaussianMixtureHead, GaussianMixtureLoss


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 4)
        self.head = GaussianMixtureHead(4, 3, covariance="diagonal", variances="tracked", priors="estimated")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(x)
        return found


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(10, 8, 6, generator=generator), torch.randint(3, (10, 8), generator=generator)


def train(network: nn.Module, inner: Network, part: slice) -> dict[str, torch.Tensor]:
    criterion = GaussianMixtureLoss(0.3, 0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for x, y in zip(*batches(), strict=True):
        optimizer.zero_grad()
        criterion(inner.head, network(x[part]), y[part]).backward()
        optimizer.step()
    return inner.state_dict()


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    inner = Network()
    state = train(DistributedDataParallel(inner), inner, slice(4 * rank, 4 * rank + 4))
    torch.save(state, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_replicas_are_equal_and_near_the_single_process(tmp_path: Path) -> None:
    in_processes(worker, (str(tmp_path),), 2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    torch.manual_seed(0)
    single = Network()
    alone = train(single, single, slice(0, 8))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        torch.testing.assert_close(tensor, alone[name], rtol=1e-4, atol=1e-5, msg=name)
    assert int(first["head.class_counts"].sum()) == 80
