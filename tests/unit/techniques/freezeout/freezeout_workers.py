"""What each process does with its half of a batch; a spawned process imports it by name."""

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import torch
import torch.distributed as dist

# Imported while a group is there it would keep it for good; the group's threads then may abort the process's end.
import torch.distributed.nn.functional
import torch.nn.functional as F
from tests.unit.techniques.freezeout.freezeout_cases import make_batches, make_network, sgd
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut
from truelift.techniques.freezeout.adaptive import SignalName

STEPS = 20


def work(rank: int, processes: int, folder: str) -> None:
    """What this process finds, left in `folder`."""
    torch.set_num_threads(1)
    store = Path(folder)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store / 'store'}",
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=60),
    )
    found = {"freezeout": by_schedule(rank, processes)}
    for signal in get_args(SignalName):
        found[signal] = by_signal(signal, rank, processes)
    found["resumed"] = by_signal("representation", rank, processes, stop=9)
    torch.save(found, store / f"found{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def by_schedule(rank: int, processes: int) -> dict[str, Any]:
    """The weights and each step's communicated numbers."""
    network = make_network()
    optimizer = sgd(network)
    freezeout = FreezeOut(network, optimizer, steps=STEPS, t0=0.2, scaling="linear")
    sizes: list[int] = []

    def wrap() -> DistributedDataParallel:
        ddp = DistributedDataParallel(network)

        def counted(
            state: None,
            bucket: dist.GradBucket,  # type: ignore[name-defined] # torch checks the name
        ) -> torch.futures.Future[torch.Tensor]:
            sizes[-1] += bucket.buffer().numel()
            mean = bucket.buffer() / processes
            found: torch.futures.Future[torch.Tensor] = (
                dist.all_reduce(mean, async_op=True).get_future().then(lambda f: f.value()[0])
            )
            return found

        ddp.register_comm_hook(None, counted)
        return ddp

    ddp = wrap()
    for images, labels in make_batches(STEPS):
        if freezeout.step():
            ddp = wrap()
        sizes.append(0)
        optimizer.zero_grad()
        F.cross_entropy(ddp(images.chunk(processes)[rank]), labels.chunk(processes)[rank]).backward()
        optimizer.step()
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = dict(network[: freezeout.frozen].named_buffers())
    return {"parameters": parameters, "buffers": buffers, "sizes": sizes, "frozen": freezeout.frozen}


def by_signal(signal: SignalName, rank: int, processes: int, stop: int = 0) -> dict[str, Any]:
    """Where layers froze, what the signal remembers, and the weights; each process is given a probe of its own.

    After `stop` steps all is put together anew and takes up the first process's state.
    """
    network, optimizer, freezing = _parts(signal, rank, processes)
    ddp = DistributedDataParallel(network)
    for step, (images, labels) in enumerate(make_batches(STEPS)):
        if stop and step == stop:
            state: list[Any] = [[network.state_dict(), freezing.state_dict(), optimizer.state_dict()]]
            dist.broadcast_object_list(state, 0)
            network, optimizer, freezing = _parts(signal, rank, processes)
            network.load_state_dict(state[0][0])
            freezing.load_state_dict(state[0][1])
            optimizer.load_state_dict(state[0][2])
            ddp = DistributedDataParallel(network)
        if freezing.step():
            ddp = DistributedDataParallel(network)
        optimizer.zero_grad()
        F.cross_entropy(ddp(images.chunk(processes)[rank]), labels.chunk(processes)[rank]).backward()
        optimizer.step()
    return {
        "stages": freezing.stages,
        "signal": freezing.state_dict()["signal"],
        "parameters": [p.detach() for p in network.parameters()],
    }


def _parts(signal: SignalName, rank: int, processes: int) -> tuple[nn.Module, torch.optim.Optimizer, AdaptiveFreezing]:
    network = make_network()
    optimizer = sgd(network)
    probe = make_batches(1)[0][0].chunk(processes)[rank] if signal == "representation" else None
    freezing = AdaptiveFreezing(
        network, optimizer, steps=STEPS, signal=signal, images=probe, every_steps=2, tolerance=0.7
    )
    return network, optimizer, freezing
