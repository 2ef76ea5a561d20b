"""What the exchange between processes costs, beside DistributedDataParallel.

    make bench NAME=distributed

Two processes of one thread each over gloo train one network on their halves of a batch, by truelift's exchange
(gradients while the backward pass goes on, then the rest with losses and running statistics) and by torch's
DistributedDataParallel (gradients likewise, running statistics of the first process sent to the others). The same step
without any exchange is the bound. All three in turn; the ratios are medians over the repeats.
"""

import argparse
import json
import os
import socket
import time
from statistics import median

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from truelift.models import ModelOptions, build_model, initialise
from truelift.techniques.exchange import BUCKET_BYTES, Exchange
from truelift.training.distributed import joined
from truelift.training.evaluation import make_autocast
from truelift.training.hardware import keep_pages

KINDS = ("none", "truelift", "ddp")


class Arm:
    """One training, step by step, with one kind of exchange."""

    def __init__(self, kind: str, options: argparse.Namespace, processes: int) -> None:
        self.inner = build_model(ModelOptions(name=options.model), classes=10, in_channels=3)
        initialise(self.inner, 0)
        self.inner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = DistributedDataParallel(self.inner) if kind == "ddp" else self.inner
        self.exchange = Exchange(self.inner.parameters(), options.bucket_bytes) if kind == "truelift" else None
        self.optimizer = torch.optim.SGD(self.inner.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.autocast = make_autocast("cpu", options.precision)
        share = options.batch // processes
        self.images = torch.randn(share, 3, 32, 32).to(memory_format=torch.channels_last)
        self.labels = torch.randint(10, (share,))

    def step(self) -> None:
        """One step."""
        with self.autocast:
            loss = F.cross_entropy(self.network(self.images).float(), self.labels)
        loss.backward()
        if self.exchange is not None:
            statistics = [buffer for buffer in self.inner.buffers() if buffer.is_floating_point()]
            self.exchange.finish([loss.detach(), *statistics])
        self.optimizer.step()
        self.optimizer.zero_grad()


def work(rank: int, port: int, options: argparse.Namespace) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    keep_pages()
    with joined("cpu") as world:
        arms = {kind: Arm(kind, options, world.size) for kind in KINDS}
        seconds: dict[str, list[float]] = {name: [] for name in arms}
        for repeat in range(options.repeats + 1):
            for name, arm in arms.items():
                dist.barrier()
                began = time.perf_counter()
                for _ in range(options.steps):
                    arm.step()
                dist.barrier()
                if repeat:  # the first round warms up
                    seconds[name].append((time.perf_counter() - began) / options.steps)
        if world.first:
            for name, times in seconds.items():
                print(f"{name:8} {1e3 * median(times):.1f} ms a step")
            ours, ddp, alone = (seconds[kind] for kind in ("truelift", "ddp", "none"))
            figures = {
                "ours_over_ddp": median(a / b for a, b in zip(ours, ddp, strict=True)),
                "ours_over_no_exchange": median(a / b for a, b in zip(ours, alone, strict=True)),
            }
            print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch", type=int, default=128, help="of both processes together")
    parser.add_argument("--steps", type=int, default=10, help="of each arm in a repeat")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--bucket_bytes", type=int, default=BUCKET_BYTES)
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port, options), nprocs=2)


if __name__ == "__main__":
    main()
