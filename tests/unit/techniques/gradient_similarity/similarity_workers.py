"""What each process does with its part of a batch; a spawned process imports it by name."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

# Imported while a group is there it would keep it for good; the group's threads then may abort the process's end.
import torch.distributed.nn.functional
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from truelift.techniques.gradient_similarity import GradientSimilarity, pcgrad

STEPS = 50
CASES: dict[str, dict[str, Any]] = {
    "weighted": {},
    "wrapped": {},
    "unweighted": {"rule": "unweighted"},
    "one pass": {"one_pass": True, "measured": "convolutions"},
    "now and then": {"every_steps": 3, "rule": pcgrad},
    "tensors": {"granularity": "tensor"},
    "surgery": {"rule": pcgrad},
    "accumulated": {},
}


class Small(nn.Module):
    """The gradient of `mixing` does not lie densely in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 3, 3)
        self.mixing = nn.Parameter(torch.randn(2, 4, 3))
        self.main, self.auxiliary = nn.Linear(8, 3), nn.Linear(8, 1)
        whole: Any = self.double()
        whole.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.convolution(images).tanh().mean((2, 3))
        mixed = (features @ self.mixing.permute(2, 1, 0).reshape(3, 8)).tanh()
        return self.main(mixed), self.auxiliary(mixed)


def train(case: str, rank: int = 0, processes: int = 1) -> dict[str, Any]:
    """The weights after 50 steps on this process's images, and how many collectives were started."""
    torch.manual_seed(0)
    net = Small()
    images, labels = torch.randn(8, 2, 5, 5).double(), torch.randint(0, 3, (8,))
    images, labels = (whole.chunk(processes)[rank] for whole in (images, labels))
    called = DistributedDataParallel(net).module if case == "wrapped" and processes > 1 else net
    similarity = GradientSimilarity(**CASES[case])
    optimizer = torch.optim.SGD(net.parameters(), 0.3, momentum=0.5)

    def losses(chosen: slice) -> list[Tensor]:
        main, auxiliary = called(images[chosen])
        return [F.cross_entropy(main, labels[chosen]), (auxiliary[:, 0] - labels[chosen]).square().mean()]

    weights = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        if case == "accumulated":
            similarity.accumulate(*losses(slice(0, None, 2)))
        combined = similarity.backward(*losses(slice(1 if case == "accumulated" else 0, None, 2)))
        weights.append(combined.weights)
        optimizer.step()
    return {"weights": torch.stack(weights), **{name: p.detach() for name, p in net.named_parameters()}}


def work(rank: int, processes: int, folder: str) -> None:
    """Each case's weights and count of collectives, left in `folder`."""
    torch.set_num_threads(1)
    store = Path(folder)
    dist.init_process_group("gloo", init_method=f"file://{store / 'store'}", rank=rank, world_size=processes)
    all_reduce, count = dist.all_reduce, 0

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return all_reduce(*args, **options)

    dist.all_reduce = counted
    found = {}
    for case in CASES:
        count = 0
        trained = train(case, rank, processes)
        found[case] = {"collectives": count, **trained}
    torch.save(found, store / f"found{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
