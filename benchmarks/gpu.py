"""Images a second of training on one CUDA GPU: truelift, a plain PyTorch script and airbench's loop.

    make bench NAME=gpu
    .venv/bin/python -P benchmarks/gpu.py --airbench FOLDER --repeats 2         # FOLDER: cifar10-airbench/legacy
    .venv/bin/python -P benchmarks/gpu.py --arms truelift --networks resnet20 --set compile=true
    .venv/bin/python -P benchmarks/gpu.py --seeds-at-once 1,2,4,8
    .venv/bin/python -P benchmarks/gpu.py --device cpu --quick                  # whether it runs at all

The same module in every arm, batch 128, SGD with Nesterov momentum, images drawn at random (the work does not depend on
them): 32 pixels for CIFAR's networks, 224 for ResNet-50.

    truelift  `fit` over resident images with crop and flip, in bf16, else by default or as --set says
    plain     autocast in bf16, default layout, torchvision's pipeline of PIL images in a DataLoader of 8 workers; for
              ResNet-50 one batch that lies on the GPU
    airbench  `main` of KellerJordan/cifar10-airbench, run from its own file with our network in place of its own:
              images on the GPU, cropped and flipped an epoch at a time, channels-last, float16, label smoothing,
              lookahead. It pads images by 4, as the others do, and evaluates nothing. Of a folder airbench94.py is
              taken; airbench94_compiled.py, named itself, compiles with max-autotune: minutes a network

Each arm is one process for all networks: none sees another's settings of torch, and one that fails is reported and
starts anew with the next network. All arms build a network at once. Then windows come one after the other, the arms in
turn: 10 steps that do not count, then as many as take 1.5 s by a first window of 10 steps, the device synchronised at
both ends. Compiling, recording CUDA graphs and 20 steps come before. Speeds are medians of the repeats, ratios medians
of the repeats' ratios.

--seeds-at-once measures in place of that: so many processes of truelift on the GPU at once, with ResNet-20 or the first
of --networks, each timed over the same 6 s; the sum of their images a second, and the best over that of one.
"""

import argparse
import contextlib
import gc
import importlib.util
import inspect
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from truelift.data import ImageSet, Splits
from truelift.models import ModelOptions, build_model, initialise
from truelift.training import resolve
from truelift.training.build import assemble
from truelift.training.compilation import compile_now
from truelift.training.hardware import keep_pages
from truelift.training.loop import fit
from truelift.training.policies import Policy, Progress
from truelift.training.settings import literal, parse_experiment

WARM_UP, SETTLE, FIRST = 20, 10, 10
"""Steps once a network is built; before those that count; of the first window, and the fewest of any."""
SEEDS_SECONDS = 6.0
EPOCHS = 200
"""A training's usual length, by which truelift chooses its settings; more than all windows together reach."""
LEARNING_RATE = 0.01
PATIENCE_S = 600.0
"""For an answer of an arm, which may be compiling."""


class Network(NamedTuple):
    """What is trained, and on which images."""

    name: str
    side: int = 32
    classes: int = 10
    batches: int = 390
    """An epoch's."""


NETWORKS = (
    Network("resnet20"),
    Network("resnet110"),
    Network("wrn-28-10"),
    Network("densenet100"),
    Network("resnet50", side=224, classes=1000, batches=30),
)
QUICK = (Network("resnet8", batches=30), Network("resnet14", side=64, classes=20, batches=30))


class Done(Exception):  # noqa: N818, since it is no error
    """A window is over."""


class Clock:
    """Called before every step; times the steps from `begin` to `end`, then raises `Done`.

    Args:
        device: Synchronised at both ends.
        begin: Steps made, or, of `moments`, what time.monotonic() says, which all processes have in common.
        end: Likewise.
        moments: Whether both are moments.
    """

    def __init__(self, device: str, begin: float, end: float, *, moments: bool = False) -> None:
        self.device, self.begin, self.end, self.moments = device, begin, end, moments
        self.steps, self.timed = 0, -1
        self.began = self.seconds_a_step = math.nan

    def __call__(self) -> None:
        here = time.monotonic() if self.moments else self.steps
        self.steps += 1
        if self.timed >= 0:
            self.timed += 1
        elif here >= self.begin:
            self.timed, self.began = 0, self._now()
        if self.timed > 0 and here >= self.end:
            self.seconds_a_step = (self._now() - self.began) / self.timed
            raise Done

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()


Steps = Callable[[Clock], None]
"""Makes steps without end, and calls the clock before each."""


class Told(Policy):
    """Calls a clock before every step."""

    name = "told"
    clock: Clock

    def __call__(self, progress: Progress) -> None:
        self.clock()


def truelift(network: Network, options: argparse.Namespace) -> Steps:
    keep_pages()
    images = random_images(network, options)
    splits = Splits(images, None, images.subset(torch.arange(8)), tuple(map(str, range(network.classes))), 0)
    settings = {
        "data.name": "cifar10",  # for its crop and flip
        "model.name": network.name,
        "batch_size": options.batch,
        "optimizer.lr": LEARNING_RATE,
        "epochs": EPOCHS,
        "evaluate_every_epochs": EPOCHS,
        "precision": "bf16",
        "device": options.device,
        "seed": options.seed,
    }
    given = {name: literal(value) for name, _, value in (setting.partition("=") for setting in options.set)}
    training = assemble(resolve(parse_experiment(settings | given, "--set")), splits)
    compile_now(training)
    told = Told()
    training.policies.append(told)

    def steps(clock: Clock) -> None:
        told.clock = clock
        fit(training, lambda line: None, Path(os.devnull), math.inf)  # goes on where the last window ended

    return steps


def plain(network: Network, options: argparse.Namespace) -> Steps:
    device = options.device
    net = module(network).to(device)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=1e-4)
    batches: Iterator[tuple[Tensor, Tensor]]
    if network.side == 32:
        batches = pil_batches(network, options)
    else:
        images = torch.randn(options.batch, 3, network.side, network.side, device=device)
        batches = itertools.repeat((images, torch.randint(network.classes, (options.batch,), device=device)))

    def steps(clock: Clock) -> None:
        while True:
            clock()
            images, labels = next(batches)
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16):
                loss = F.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()

    return steps


_pil_batches: list[Iterator[tuple[Tensor, Tensor]]] = []


def pil_batches(network: Network, options: argparse.Namespace) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end; the workers start once, with the first network."""

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        dataset = by_path(Path(__file__).with_name("training.py")).PilDataset(random_images(network, options))
        loader = DataLoader(
            dataset,
            options.batch,
            shuffle=True,
            drop_last=True,
            num_workers=options.workers,
            persistent_workers=True,
            multiprocessing_context="fork",  # as ever on Linux; a process that was spawned spawns its own
            pin_memory=options.device == "cuda",
        )
        while True:
            yield from loader

    if not _pil_batches:
        _pil_batches.append(batches())
    return _pil_batches[0]


def airbench(network: Network, options: argparse.Namespace) -> Steps:
    theirs: Any = by_path(options.airbench / "airbench94.py" if options.airbench.is_dir() else options.airbench)
    # Its rate is 7,850 times one for the sum over a batch: 0.008 for our mean, so that float16 weights stay finite.
    theirs.hyp["opt"] |= {"train_epochs": EPOCHS, "batch_size": options.batch, "lr": 0.5, "bias_scaler": 1.0}
    theirs.hyp["opt"]["whiten_bias_epochs"] = -1  # no layer of ours whitens
    theirs.hyp["aug"] = {"flip": True, "translate": 4}
    theirs.init_whitening_conv = theirs.reinit_net = theirs.print_training_details = lambda *_, **__: None
    theirs.evaluate = lambda *_, **__: math.nan

    folder = TemporaryDirectory()
    images = random_images(network, options)
    for split, part in (("train", images), ("test", images.subset(torch.arange(8)))):
        stored = {"images": part.images.permute(0, 2, 3, 1), "labels": part.labels, "classes": []}
        torch.save(stored, Path(folder.name, f"{split}.pt"))
    current: list[Clock] = []

    class Loader(theirs.CifarLoader):  # type: ignore[misc]
        """Theirs, over our images; calls the clock before every step."""

        def __init__(self, path: str, **arguments: Any) -> None:
            super().__init__(folder.name, **arguments)

        def __iter__(self) -> Iterator[Any]:
            for batch in super().__iter__():
                current[0]()
                yield batch

    theirs.CifarLoader = Loader
    first = nn.Identity()
    first.bias = torch.zeros(())  # which it freezes
    net = nn.Sequential(first, module(network)).half().to(options.device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.float()
    compiles = "model_trainbias" in inspect.signature(theirs.main).parameters
    models = [torch.compile(net, mode="max-autotune")] * 2 if compiles else []
    theirs.make_net = lambda: net

    def steps(clock: Clock) -> None:
        current[:] = [clock]
        theirs.main(0, *models)

    return steps


ARMS: dict[str, Callable[[Network, argparse.Namespace], Steps]] = {
    "truelift": truelift,
    "plain": plain,
    "airbench": airbench,
}


def module(network: Network) -> nn.Module:
    net = build_model(ModelOptions(name=network.name), classes=network.classes, in_channels=3)
    initialise(net, 0)
    return net


def random_images(network: Network, options: argparse.Namespace) -> ImageSet:
    """An epoch's images, in the processor's memory; drawn on the device, which is quicker."""
    shape = (network.batches * options.batch, network.side, network.side, 3)
    pixels = torch.randint(256, shape, dtype=torch.uint8, device=options.device).cpu()
    return ImageSet(pixels.permute(0, 3, 1, 2), torch.randint(network.classes, shape[:1]))


def by_path(file: Path) -> ModuleType:
    """The module in a file, executed anew."""
    spec = importlib.util.spec_from_file_location(f"benchmark_of_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def serve(connection: Connection, arm: str, options: argparse.Namespace) -> None:
    """Be an arm's process: build each network that comes, make each window, and answer with its seconds a step.

    A failure is answered with its words and ends the process.
    """
    torch.set_num_threads(1)
    steps: Steps | None = None
    try:
        while (asked := connection.recv()) is not None:
            window = asked
            if isinstance(asked, Network):
                steps = None  # gives its memory back before the next is built
                gc.collect()
                if options.device == "cuda":
                    torch.cuda.empty_cache()
                steps = ARMS[arm](asked, options)
                window = {"begin": 0, "end": WARM_UP}
            assert steps is not None
            clock = Clock(options.device, **window)
            gc.collect()
            with contextlib.suppress(Done):
                steps(clock)
                raise RuntimeError(f"the training has ended, after {EPOCHS} epochs, before the window has")
            connection.send(clock.seconds_a_step)
    except Exception as error:  # the other arms go on, whatever it is
        words = str(error).strip().splitlines() or [""]
        connection.send(f"{type(error).__name__}: {words[0][:300]}")


class FailedError(Exception):
    """An arm's failure, in its words."""


class Arm:
    """An arm in a process of its own, which starts when it is asked first, and again after a failure."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        self.process: Any = None

    def ask(self, asked: Network | dict[str, float]) -> None:
        """Have it build a network and warm up, or make a window, of which these are the `Clock`'s arguments."""
        if self.process is None:
            context = get_context("spawn")
            self.connection, other = context.Pipe()
            self.process = context.Process(target=serve, args=(other, self.name, self.options))
            self.process.start()
            other.close()  # so that its end is seen here
        with contextlib.suppress(OSError):  # `answer` tells
            self.connection.send(asked)

    def answer(self) -> float:
        """Seconds a step.

        Raises:
            FailedError: It failed, and its process is no more.
        """
        told: float | str = f"no answer in {PATIENCE_S:.0f} s"
        try:
            if self.connection.poll(PATIENCE_S):
                told = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            told = f"its process ended with status {self.process.exitcode}"
        if isinstance(told, str):
            self.stop(seconds=1)
            raise FailedError(told)
        return told

    def window(self, steps: int) -> float:
        """Seconds a step of so many, after some that do not count."""
        self.ask({"begin": SETTLE, "end": SETTLE + steps})
        return self.answer()

    def stop(self, seconds: float = 10) -> None:
        """End its process, after so long by force."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process = None


@contextlib.contextmanager
def noting(failed: dict[str, str], arm: Arm) -> Iterator[None]:
    """Within it a failure of the arm is written down, and the benchmark goes on."""
    try:
        yield
    except FailedError as error:
        failed[arm.name] = str(error)
        print(f"  {arm.name} failed: {error}", flush=True)


def compared(network: Network, arms: Sequence[Arm], options: argparse.Namespace) -> dict[str, Any]:
    """Images a second of a network in every arm, and truelift's over the others'."""
    failed: dict[str, str] = {}
    steps: dict[str, int] = {}
    speeds: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for arm in arms:
        arm.ask(network)
    for arm in arms:
        with noting(failed, arm):
            arm.answer()
    for repeat in range(options.repeats + 1):
        for arm in arms:
            if arm.name in failed:
                continue
            with noting(failed, arm):
                if repeat == 0:
                    steps[arm.name] = max(FIRST, round(options.seconds / arm.window(FIRST)))
                else:
                    speeds[arm.name].append(options.batch / arm.window(steps[arm.name]))
        if repeat:
            told = ", ".join(f"{name} {found[-1]:.0f}" for name, found in speeds.items() if name not in failed)
            print(f"{network.name:12} repeat {repeat}: {told} images/s", flush=True)
    row: dict[str, Any] = {name: None if name in failed else round(median(found)) for name, found in speeds.items()}
    for name, found in speeds.items():
        if name != "truelift" and row.get("truelift") and row[name]:
            ratios = (ours / others for ours, others in zip(speeds["truelift"], found, strict=True))
            row[f"truelift_over_{name}"] = round(median(ratios), 3)
    return {**row, "failed": failed} if failed else row


def seeds_at_once(counts: Sequence[int], network: Network, options: argparse.Namespace) -> dict[str, Any]:
    """The sum of images a second of so many trainings at once, for each of the counts, and the best over one's."""
    arms = [Arm("truelift", argparse.Namespace(**vars(options) | {"seed": seed})) for seed in range(max(counts))]
    sums: dict[str, int | None] = {}
    failed: dict[str, str] = {}
    try:
        for arm in arms:
            arm.ask(network)
        for arm in arms:
            with noting(failed, arm):
                arm.answer()
        for count in sorted({1, *counts}):
            at_once = [arm for arm in arms if arm.process is not None][:count]
            begin = time.monotonic() + 1  # in which they get under way
            for arm in at_once:
                arm.ask({"begin": begin, "end": begin + options.seeds_seconds, "moments": True})
            speeds = []
            for arm in at_once:
                with noting(failed, arm):
                    speeds.append(options.batch / arm.answer())
            sums[str(count)] = round(sum(speeds)) if len(speeds) == count else None
            print(f"{count} at once: " + ", ".join(f"{speed:.0f}" for speed in speeds) + " images/s", flush=True)
    finally:
        for arm in arms:
            arm.stop()
    one = sums["1"]
    ratios = [total / one for count, total in sums.items() if count != "1" and one and total]
    return {"seeds_at_once_speedup": round(max(ratios), 2) if ratios else None, "seeds_at_once": sums}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[network.name for network in NETWORKS], help="default: all")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--airbench", type=Path, help="cifar10-airbench's folder legacy, or a file of it")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of truelift's arm")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a window")
    parser.add_argument("--workers", type=int, default=8, help="of plain's DataLoader")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="two tiny networks, batch 4, short windows")
    parser.add_argument("--seeds-at-once", metavar="1,2,4,8", help="measure this in place of the arms")
    parser.set_defaults(seed=0, seeds_seconds=SEEDS_SECONDS)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA GPU here; --device cpu --quick tells whether this runs at all")
    if options.airbench is not None:
        options.airbench = options.airbench.absolute()
    if options.quick:
        options.batch, options.seconds, options.workers, options.seeds_seconds = 4, 0.3, 1, 1.0
    began = time.monotonic()
    where = torch.cuda.get_device_name() if options.device == "cuda" else "the processor"
    print(f"{where}, torch {torch.__version__}, batch {options.batch}", flush=True)
    chosen = [network for network in NETWORKS if options.networks is None or network.name in options.networks]
    networks: Sequence[Network] = QUICK if options.quick else chosen
    if options.seeds_at_once:
        counts = [int(count) for count in options.seeds_at_once.split(",")]
        found = seeds_at_once(counts, networks[0], options)
    else:
        runs_airbench = options.airbench is not None and options.device == "cuda"
        if not runs_airbench:
            print("airbench is left out: it needs --airbench and a CUDA GPU")
        arms = [Arm(name, options) for name in options.arms if runs_airbench or name != "airbench"]
        try:
            found = {network.name: compared(network, arms, options) for network in networks}
        finally:
            for arm in arms:
                arm.stop()
    print(f"{time.monotonic() - began:.0f} s in all")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
