"""What FreezeOut saves on the clock, against what is counted and what a short probe predicts.

    make bench NAME=freezeout

A training on random images of 32×32 from the first step to the last, linear schedule, t_0 = 0.5, SGD with momentum,
all cores, against the plain training, step by step in turn in one process: DenseNet-BC (k = 12, 40 layers), WRN-16-4
and ResNet-20.

    realised / counted  the share of the plain training's time that went away over the share of its operations, eager
                        and compiled (there layers freeze in groups; a step that compiles is counted apart, and so is
                        its partner)
    prediction error    of the time that `truelift speedup --measure` predicts, in the plain training's, against that
                        of the eager training
    cached              an epoch with half of the layers frozen, no augmentation, from kept activations over one that
                        passes the frozen layers, both through the trainer's batches; and over what is left of the
                        latter without the frozen layers' forward pass, below which no cache comes

The last line has the worst of the networks.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

from truelift.data import Batches, ImageSet
from truelift.models import Classifier, ModelOptions, build_model, initialise
from truelift.processes import available_cores
from truelift.techniques.freezeout import (
    ActivationCache,
    FreezeOut,
    allow_recompilations,
    counted_costs,
    freezing_points,
    freezing_stages,
    timed_costs,
)
from truelift.training.evaluation import make_autocast
from truelift.training.hardware import keep_pages
from truelift.training.policies.kept_activations import CachedBatches

# Layers that freeze at a time where the network is compiled.
GROUPS = {"densenet40": 6, "wrn-16-4": 2, "resnet20": 3}
T0 = 0.5


class Arm:
    """One training, step by step."""

    def __init__(self, name: str, batch: int, precision: str) -> None:
        self.network = build(name)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.9, fused=True)
        self.autocast = make_autocast("cpu", precision)
        self.images = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
        self.labels = torch.randint(10, (batch,))

    def step(self) -> float:
        """Seconds of a step."""
        began = time.perf_counter()
        with self.autocast:
            loss = F.cross_entropy(self.network(self.images).float(), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - began


def build(name: str) -> Classifier:
    network = build_model(ModelOptions(name=name), classes=10, in_channels=3)
    initialise(network, 0)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def schedule(name: str, *, compiled: bool) -> tuple[list[float], int]:
    """Where each layer leaves the training, and how many freeze at a time."""
    every = GROUPS[name] if compiled else 1
    return freezing_stages(freezing_points(len(build(name).layers()), T0, "linear"), every), every


def shares(stages: list[float], steps: int) -> list[float]:
    """Which share of so many steps a training makes with b = 0 … L − 1 layers frozen: each freezes at a whole step."""
    ends = [min(steps, int(stage * steps) + 1) for stage in stages[:-1]] + [steps]
    return [(end - begin) / steps for begin, end in itertools.pairwise([0, *ends])]


def saved(stages: list[float], steps: int, costs: Sequence[float]) -> float:
    """The share of the plain training's cost that goes away."""
    return 1 - sum(share * cost for share, cost in zip(shares(stages, steps), costs, strict=True)) / costs[0]


def whole_training(name: str, options: argparse.Namespace, *, compiled: bool) -> dict[str, float]:
    """The share of the time that FreezeOut saves, and what compiling took, in seconds."""
    stages, every = schedule(name, compiled=compiled)
    plain, frozen = (Arm(name, options.batch, options.precision) for _ in "12")
    freezeout = FreezeOut(
        frozen.network,
        frozen.optimizer,
        steps=options.steps,
        t0=T0,
        scaling="linear",
        scale_lr=False,
        freeze_every=every,
    )
    compiling = 0.0
    if compiled:
        torch.compiler.reset()
        allow_recompilations(stages)
        for arm in (plain, frozen):
            arm.network.compile_features()
        compiling += plain.step()
    plain.step()  # both have a step behind them before the first that counts
    # Of each stage, by the number of layers frozen, the pairs of times.
    seconds: dict[int, list[tuple[float, float]]] = {}
    for number in range(options.steps):
        began = time.perf_counter()
        fresh = freezeout.step()
        own = time.perf_counter() - began
        if number == 0 or fresh:  # the first step of a stage warms up, and compiles where it must
            compiling += frozen.step()
        times = {}
        for arm in (plain, frozen) if number % 2 else (frozen, plain):
            times[arm] = arm.step()
        seconds.setdefault(freezeout.frozen, []).append((times[plain], times[frozen] + own))
    # What an interruption adds to a step is not FreezeOut's: medians of a stage, times its steps.
    costs = {b: (len(pairs), *(median(times) for times in zip(*pairs, strict=True))) for b, pairs in seconds.items()}
    of_plain = sum(steps * plain for steps, plain, _ in costs.values())
    of_freezeout = sum(steps * frozen for steps, _, frozen in costs.values())
    return {"realised": 1 - of_freezeout / of_plain, "compiling": compiling if compiled else 0.0}


def predicted(name: str, options: argparse.Namespace) -> float:
    """The share of the time that a short probe predicts."""
    arm = Arm(name, options.batch, options.precision)
    stages, _ = schedule(name, compiled=False)
    with arm.autocast:
        return saved(stages, options.steps, timed_costs(arm.network, arm.images))


def cached(name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds of an epoch from kept activations over one that passes the frozen half of the layers, and their bound."""
    arm = Arm(name, options.batch, options.precision)
    half = len(arm.network.layers()) // 2
    freezeout = FreezeOut(arm.network, arm.optimizer, steps=100, scaling=lambda x: 0.0 if x < 1 else 1.0, t0=0.0)
    for layer in range(half):
        freezeout._freeze(layer)
    images = torch.randint(256, (options.images, 3, 32, 32), dtype=torch.uint8)
    images = images.to(memory_format=torch.channels_last)
    whole = Batches(
        ImageSet(images, torch.randint(10, (options.images,))),
        options.batch,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        order_seed=0,
    )
    kept = ActivationCache(arm.network, freezeout, samples=options.images, budget_bytes=2**33)
    behind = CachedBatches(whole, [kept], arm.autocast)

    def epoch(number: int, batches: Any) -> float:
        began = time.perf_counter()
        for arm.images, arm.labels in batches.epoch(number):
            with arm.autocast, batches.entrance() if batches is behind else torch.enable_grad():
                loss = F.cross_entropy(arm.network(arm.images).float(), arm.labels)
            loss.backward()
            arm.optimizer.step()
            arm.optimizer.zero_grad()
        return time.perf_counter() - began

    @torch.no_grad()
    def front(number: int) -> float:
        """Seconds of an epoch's forward pass through the frozen layers alone."""
        spent = 0.0
        for x, _ in whole.epoch(number):
            began = time.perf_counter()
            with arm.autocast:
                for layer in freezeout.layers[:half]:
                    for module in layer:
                        x = module(x)
            spent += time.perf_counter() - began
        return spent

    for batches in (whole, behind):
        epoch(0, batches)
    seconds = [(epoch(i, behind), epoch(i, whole), front(i)) for i in range(1, options.repeats + 1)]
    share = median(kept / passing for kept, passing, _ in seconds)
    return share, median(1 - front / passing for _, passing, front in seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(GROUPS), choices=GROUPS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60, help="of each training")
    parser.add_argument("--images", type=int, default=1024, help="of an epoch with kept activations")
    parser.add_argument("--repeats", type=int, default=5, help="of such an epoch")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--parts", nargs="+", default=["eager", "compiled", "cached"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads or available_cores())
    torch.manual_seed(0)
    keep_pages()
    found: dict[str, list[float]] = {}

    def tell(name: str, figure: str, value: float, text: str) -> None:
        found.setdefault(figure, []).append(value)
        print(f"{name:12} {text}", flush=True)

    for name in options.networks:
        images = torch.empty(options.batch, 3, 32, 32)
        counts = counted_costs(build(name), images)
        for kind in ("eager", "compiled"):
            if kind not in options.parts:
                continue
            stages, every = schedule(name, compiled=kind == "compiled")
            counted = saved(stages, options.steps, counts)
            result = whole_training(name, options, compiled=kind == "compiled")
            realised = result["realised"]
            text = f"{kind}: {100 * realised:.1f} % of the time saved, {100 * counted:.1f} % counted"
            if kind == "compiled":
                text += f", {every} layers at a time, {result['compiling']:.0f} s of compiling"
            tell(name, f"realised_over_counted_{kind}_min", realised / counted, text)
            if kind == "eager":
                expected = predicted(name, options)
                error = abs((1 - expected) / (1 - realised) - 1)
                text = f"predicted by a probe: {100 * expected:.1f} %, time off by {100 * error:.1f} %"
                tell(name, "measured_prediction_error_max", error, text)
        if "cached" in options.parts:
            share, bound = cached(name, options)
            text = f"an epoch from kept activations: {share:.2f} of one without"
            tell(name, "cached_epoch_over_uncached", share, text)
            text = f"what the latter is without the frozen layers' forward pass: {bound:.2f}"
            tell(name, "cached_epoch_over_bound", share / bound, text)
    worst = {name: (min if name.endswith("min") else max)(values) for name, values in found.items()}
    print(json.dumps({name: round(value, 3) for name, value in worst.items()}))


if __name__ == "__main__":
    main()
