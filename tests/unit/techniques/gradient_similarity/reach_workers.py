"""Processes whose graphs differ; a spawned process imports it by name."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

# Imported while a group is there it would keep it for good; the group's threads then may abort the process's end.
import torch.distributed.nn.functional
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity

CASES = [
    "another layer of one shape",
    "one layer fewer",
    "nothing shared in one",
    "own weights",
    "parts in another order",
    "parts in another order, network given",
    "later",
    "image gradients",
    "sparse and complex",
]


class Net(nn.Module):
    """Two layers of one shape, either of which may be left out, and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.main, self.auxiliary = nn.Linear(8, 3), nn.Linear(8, 2)
        self.table = nn.Embedding(5, 6, sparse=True)
        self.turn = nn.Parameter(torch.randn(6, dtype=torch.complex128))
        self.double()

    def losses(self, x: Tensor, layers: str) -> list[Tensor]:
        h = self.first(x).tanh()
        for layer in layers:
            h = getattr(self, layer)(h).tanh()
        return [self.main(h).square().mean(), self.auxiliary(h).sin().mean()]


def run(case: str, rank: int, processes: int) -> dict[str, Any]:
    """The gradients of one or two steps, or the error."""
    torch.manual_seed(0)
    net = Net()
    every = torch.randn(8, 6, generator=torch.Generator().manual_seed(1)).double()
    x = every.chunk(processes)[rank]
    odd = rank % 2 == 1
    similarity = GradientSimilarity(network=net if "given" in case else None)
    try:
        if case == "another layer of one shape":
            similarity.backward(*net.losses(x, "a" if odd else "b"))
        elif case == "one layer fewer":
            similarity.backward(*net.losses(x, "ab" if odd else "a"))
        elif case == "nothing shared in one":
            main, auxiliary = net.losses(x, "a")
            similarity.backward(main, net.auxiliary(x.new_ones(8)).square().sum() if odd else auxiliary)
        elif case == "own weights":
            with torch.no_grad():
                net.auxiliary.weight += rank
            similarity.backward(*net.losses(x, "a"))
        elif case.startswith("parts in another order"):
            parts = [net.losses(x[:2], "a"), net.losses(x[2:], "ba")]
            similarity.accumulate(*parts[odd])
            similarity.backward(*parts[not odd])
        elif case == "later":
            similarity.backward(*net.losses(x, "ab"))
            net.zero_grad()
            similarity.backward(*net.losses(x, "a" if odd else "b"))
        elif case == "image gradients":
            x = x.clone().requires_grad_()
            similarity.backward(*net.losses(x, "ab"))
            return {"x": x.grad, **gradients(net)}
        else:
            seen = net.table(torch.tensor([0, 3, 1]) if odd else torch.tensor([1, 2, 1]))
            h = (seen * net.turn).abs() + x[:3]
            similarity.backward(*net.losses(h, ""))
    except InputError as error:
        return {"error": str(error), **gradients(net)}
    return gradients(net)


def gradients(net: nn.Module) -> dict[str, Any]:
    return {name: p.grad for name, p in net.named_parameters()}


def work(rank: int, processes: int, folder: str) -> None:
    """What each case left, in `folder`."""
    torch.set_num_threads(1)
    store = Path(folder)
    dist.init_process_group("gloo", init_method=f"file://{store / 'store'}", rank=rank, world_size=processes)
    torch.save({case: run(case, rank, processes) for case in CASES}, store / f"found{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
