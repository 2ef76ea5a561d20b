"""Several processes that train one network, each on its share of every batch. R processes."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from truelift import signals
from truelift.data import Share
from truelift.errors import InputError


@dataclass(frozen=True)
class World:
    """The processes of a training, as one of them sees them; by default it is alone.

    Every process holds the whole network. After each step all hold the same numbers, bit for bit, so that one of them
    can write for all.
    """

    rank: int = 0
    """This process's number, from 0."""
    size: int = 1
    """R."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """This process's part of every batch."""
        return Share(self.rank, self.size)

    def gathered(self, value: Any) -> list[Any]:
        """What each process gives, in their order."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found


ALONE = World()


def started_by_torchrun() -> bool:
    """Whether this is one of several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """Within it this process is one of those that torchrun has started, or alone where it has not.

    On GPUs each process takes the one of its number on its machine, and `cuda` means that one.

    Args:
        device: The experiment's, resolved.

    Raises:
        InputError: One of several processes is told which GPU to take, or there are fewer GPUs than processes.
        PreemptedError: SIGTERM has come.
    """
    if not started_by_torchrun():
        yield ALONE
        return
    on_gpu = device != "cpu"
    if on_gpu:
        local, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device != "cuda":
            raise InputError(f"device must be cuda where torchrun gives each process its GPU, got {device}.")
        if local >= here:
            raise InputError(f"torchrun must start one process a GPU, {here} on this machine, got more.")
        torch.cuda.set_device(local)
    # Imported while a group is there, it would keep it for good, as a default of its functions' arguments; the group's
    # threads would then outlive the interpreter, and now and then abort the process.
    importlib.import_module("torch.distributed.nn.functional")
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    except Exception as error:
        if signals.preempted():  # the others as well, and one of them is gone already
            raise signals.PreemptedError from error
        raise
    finally:
        dist.destroy_process_group()
