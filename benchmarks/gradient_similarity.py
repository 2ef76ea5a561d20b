"""Seconds a step of the gradient-similarity rule against what it must cost, against multi-task, and against TorchJD.

    make bench NAME=gradient_similarity

A pre-activation ResNet-18 for images of 64×64 (by default with ImageNet's first layers, where a step is short and what
the rule adds weighs most) with two linear heads, batch 32, SGD with momentum, float32, all cores; random images; the
allocator as it comes, because this is what a plain loop has. Arms alternate in one process; figures are medians of the
repeats' ratios.

    one batch         two heads on one batch, over the bound (f + 2b + o)/(f + b + o) times a multi-task step, from the
                      forward f, backward b and optimizer o of the multi-task step, measured beside it
    separate batches  a batch of its own for the auxiliary task, over a multi-task step with the same two batches
    torchjd           mtl_backward and jac_to_grad with PCGrad on the one batch, at the faster of its two settings of
                      parallel_chunk_size, over our PCGrad on the same batch
    memory            the peak of one step above network, images and optimizer state, ours over TorchJD's, each arm in a
                      process of its own
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.models import ModelOptions, build_model, initialise
from truelift.processes import available_cores
from truelift.techniques.gradient_similarity import GradientSimilarity, Rule, TaskStatistics, Weighting, pcgrad
from truelift.training.hardware import keep_pages

BATCH = 32


class Steps:
    """One step of each arm; the network, its optimizer and the images are the same for all."""

    def __init__(self, stem: str) -> None:
        options = ModelOptions(name="preact-resnet18", stem=stem)  # type: ignore[arg-type]
        self.trunk = build_model(options, classes=2, in_channels=3)
        initialise(self.trunk, 0)
        self.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(self.trunk.feature_size, 2)
        parameters = [*self.trunk.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, fused=True)
        self.shared = [p for p in self.trunk.parameters() if all(p is not q for q in self.trunk.head.parameters())]
        self.statistics = TaskStatistics(self.trunk)
        self.images, self.others = (torch.randn(BATCH, 3, 64, 64).to(memory_format=torch.channels_last) for _ in "12")
        self.labels, self.other_labels = torch.randint(2, (2, BATCH))

    def losses(self) -> tuple[Tensor, Tensor, Tensor]:
        features = self.trunk.features(self.images)
        main = F.cross_entropy(self.trunk.head(features), self.labels)
        return main, F.cross_entropy(self.head(features), self.other_labels), features

    def separate_losses(self) -> tuple[Tensor, Tensor]:
        main = F.cross_entropy(self.trunk(self.images), self.labels)
        with self.statistics.task(1):
            features = self.trunk.features(self.others)
        return main, F.cross_entropy(self.head(features), self.other_labels)

    def end(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def multi_task(self) -> tuple[float, float, float]:
        """Seconds forward, backward, and in the optimizer."""
        times = [time.perf_counter()]
        main, auxiliary, _ = self.losses()
        times.append(time.perf_counter())
        (main + auxiliary).backward()
        times.append(time.perf_counter())
        self.end()
        times.append(time.perf_counter())
        forward, backward, optimizer = (after - before for before, after in itertools.pairwise(times))
        return forward, backward, optimizer

    def multi_task_separate(self) -> None:
        main, auxiliary = self.separate_losses()
        (main + auxiliary).backward()
        self.end()

    def by_rule(self, rule: Weighting | Rule, *, separate: bool = False) -> Callable[[], None]:
        similarity = GradientSimilarity(rule)

        def step() -> None:
            main, auxiliary = self.separate_losses() if separate else self.losses()[:2]
            similarity.backward(main, auxiliary)
            self.end()

        return step

    def by_torchjd(self, chunk: int | None) -> Callable[[], None]:
        from torchjd.aggregation import PCGrad
        from torchjd.autojac import jac_to_grad, mtl_backward

        aggregator: Any = PCGrad()
        tasks = [list(self.trunk.head.parameters()), list(self.head.parameters())]

        def step() -> None:
            main, auxiliary, features = self.losses()
            mtl_backward(
                [main, auxiliary],
                features,
                tasks_params=tasks,
                shared_params=self.shared,
                parallel_chunk_size=chunk,
            )
            jac_to_grad(self.shared, aggregator)
            self.end()

        return step


def timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def measure(steps: Steps, repeats: int) -> dict[str, float]:
    arms: dict[str, Callable[[], object]] = {
        "one batch": steps.by_rule("weighted"),
        "multi-task, separate batches": steps.multi_task_separate,
        "separate batches": steps.by_rule("weighted", separate=True),
        "pcgrad": steps.by_rule(pcgrad),
        "torchjd, one by one": steps.by_torchjd(1),
        "torchjd, at once": steps.by_torchjd(None),
    }
    for step in (steps.multi_task, *arms.values()):
        step()
    rows, parts = [], []
    for _ in range(repeats):
        parts.append(steps.multi_task())
        rows.append({name: timed(step) for name, step in arms.items()})
    for name in arms:
        print(f"{name:30} {1e3 * median(row[name] for row in rows):7.1f} ms", flush=True)
    f, b, o = (1e3 * median(column) for column in zip(*parts, strict=True))
    print(f"{'multi-task':30} {f + b + o:7.1f} ms: forward {f:.1f}, backward {b:.1f}, optimizer {o:.1f}", flush=True)
    fastest = min(("torchjd, one by one", "torchjd, at once"), key=lambda name: median(row[name] for row in rows))
    return {
        "one_batch_over_bound": median(
            row["one batch"] / (f + 2 * b + o) for row, (f, b, o) in zip(rows, parts, strict=True)
        ),
        "separate_batches_over_multitask": median(
            row["separate batches"] / row["multi-task, separate batches"] for row in rows
        ),
        "torchjd_over_ours": median(row[fastest] / row["pcgrad"] for row in rows),
    }


def peak(arm: str, stem: str) -> int:
    """Bytes above what is there before the step."""
    steps = Steps(stem)
    for parameter in (*steps.trunk.parameters(), *steps.head.parameters()):
        parameter.grad = torch.zeros_like(parameter)
    steps.end()  # the optimizer's state; the gradients are gone after it
    step = steps.by_rule(pcgrad) if arm == "ours" else steps.by_torchjd({"torchjd-1": 1, "torchjd-all": None}[arm])
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - pages * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--stem", default="imagenet", choices=("small", "imagenet"))
    parser.add_argument("--keep-pages", action="store_true", help="the trainer's allocator settings, for all arms")
    parser.add_argument("--peak", choices=("ours", "torchjd-1", "torchjd-all"))
    arguments = parser.parse_args()
    torch.set_num_threads(available_cores())
    torch.manual_seed(0)
    if arguments.peak:
        print(peak(arguments.peak, arguments.stem))
        return
    peaks = {}
    for arm in ("ours", "torchjd-1", "torchjd-all"):
        command = [sys.executable, "-P", __file__, "--stem", arguments.stem, "--peak", arm]
        peaks[arm] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"memory of a step, {arm}: {peaks[arm] / 2**20:,.0f} MiB", flush=True)
    if arguments.keep_pages:
        keep_pages()
    figures = measure(Steps(arguments.stem), arguments.repeats)
    figures["memory_over_torchjd"] = peaks["ours"] / min(peaks["torchjd-1"], peaks["torchjd-all"])
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
