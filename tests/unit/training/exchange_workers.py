"""What each process of an exchange does; a spawned process imports it by name."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

# Imported while a group is there it would keep it for good; the group's threads then may abort the process's end.
import torch.distributed.nn.functional
from torch import nn

from truelift.techniques.exchange import Exchange


def work(rank: int, processes: int, folder: str) -> None:
    """Gradients of two backward passes, by bucket size, with this process's own images; left in `folder`."""
    torch.set_num_threads(1)
    store = Path(folder)
    dist.init_process_group("gloo", init_method=f"file://{store / 'store'}", rank=rank, world_size=processes)
    found: dict[Any, Any] = {}
    for bucket_bytes in (1, 500, 10**9):
        network = make_network()
        exchange = Exchange(network.parameters(), bucket_bytes)
        for step in range(2):
            network[2].requires_grad_(step == 0)  # a layer that freezes leaves the exchange
            network.zero_grad()
            loss = network(images(step)[rank::processes]).square().mean()
            loss.backward()
            written = torch.full((2, 3), float(rank))  # a gradient that no backward pass made
            loss = loss.detach()
            exchange.finish([loss, written, *(p.grad for p in network.parameters() if p.grad is not None)])
            gradients = {name: p.grad for name, p in network.named_parameters()}
            found[bucket_bytes, step] = {"loss": loss, "written": written, "gradients": gradients}
    laid_out = layouts(rank)
    exchange = Exchange([])
    exchange.finish(list(laid_out.values()))
    found["layouts"] = {name: tensor.clone() for name, tensor in laid_out.items()}
    torch.save(found, store / f"found{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def layouts(rank: int) -> dict[str, torch.Tensor]:
    """Tensors that are laid out in other ways than row by row, with a process's own numbers."""
    numbers = torch.arange(24.0).reshape(2, 3, 4) * (rank + 1)
    return {
        "transposed": numbers.transpose(0, 2),
        "gaps": (numbers + 100)[:, :, ::2],
        "expanded": numbers[:, :1].clone().expand(2, 5, 4),
        "of one number": torch.full((), float(rank)).expand(3),
        "complex": torch.complex(numbers, -numbers).transpose(0, 1),
        "row by row": numbers.clone(),
    }


def make_network() -> nn.Sequential:
    """The same for all, channels-last."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 5))
    return network.double().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def images(step: int) -> torch.Tensor:
    """Those of all processes."""
    return torch.randn(8, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
