"""Images a CPU-second of training: truelift, eager and compiled, against a plain PyTorch script and its peers' loops.

    make bench NAME=training                            # images drawn at random; the work does not depend on them
    .venv/bin/python -P benchmarks/training.py --data.path FOLDER_OF_CIFAR10_PARQUET
    .venv/bin/python -P benchmarks/training.py --compile

ResNet-20 (the same module in every arm), batch 128, SGD with Nesterov momentum, crop and flip, one thread each.

    truelift         defaults: bf16, channels-last, resident data, batched augmentation, fused optimizer, allocator
    compiled         the same with `compile = true` (with --compile)
    bare             truelift's parts in a loop by hand: nothing recorded, no policy but the schedule, no checkpoint
    plain fp32       fp32, PIL pipeline a sample at a time, DataLoader without workers, SGD as it comes
    lightning bf16   the same pipeline under Lightning's Trainer with precision="bf16-mixed"
    accelerate bf16  the same in a loop by Accelerate with mixed_precision="bf16"
    timm bf16        the same with timm's optimizer, schedule and meters, in the order of its training script

timm has an environment of its own, since torchvision, which it needs, wants another build of torch; its arm runs under
that torch. Where it is missing the arm is left out, and a line says so. It is made by

    python3 -m venv build/timm
    build/timm/bin/python -m pip install torch==2.14.1 torchvision==0.29.1 timm

Every repeat runs each arm once, in a process of its own, one after the other; processor seconds of the process are
counted from the sixth step on. Then two processes of truelift train at once, a thread each, whose images a second are
added up and compared with those of the one by itself. The figures are medians of the repeats' ratios:

    over_plain_fp32        compiled over plain fp32 (with --compile)
    eager_over_plain_fp32  truelift over plain fp32
    over_best_bf16_peer    compiled with --compile, else truelift, over the fastest of the peers in bf16
    loop_overhead          bare over truelift
    two_cores_over_one     two at once over one by itself, by the clock: it needs two idle cores
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from truelift.models import CifarResNet, initialise

if TYPE_CHECKING:  # timm's environment has torch alone of what they need
    from truelift.data import ImageSet
    from truelift.training.parts import Training

WARM_UP, STEPS, BATCH = 6, 24, 128
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
ROOT = Path(__file__).resolve().parents[1]
TIMM = ROOT / "build/timm/bin/python"
PEERS = ("lightning bf16", "accelerate bf16", "timm bf16")


class Data(NamedTuple):
    """uint8 (N, 3, 32, 32), stored channels-last, and int64 (N,)."""

    images: Tensor
    labels: Tensor

    def set(self) -> "ImageSet":
        from truelift.data import ImageSet

        return ImageSet(*self)


class Speed(NamedTuple):
    """Images a second of the processor, and by the clock."""

    processor: float
    clock: float


def drawn(path: str | None) -> Data:
    n = (WARM_UP + STEPS) * BATCH
    if path is not None:
        from truelift.data import DataOptions, load
        from truelift.data.dataset import ImageSet

        options = DataOptions(name="cifar10", path=path, train_images=n, validation_fraction=0, test_images=100)
        found = load(options, split_seed=0).train
        assert isinstance(found, ImageSet)
        return Data(found.images, found.labels)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, 32, 32, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    return Data(pixels, torch.randint(10, (n,), generator=generator))


class PilDataset(Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10 with RandomCrop(32, 4), RandomHorizontalFlip, ToTensor and Normalize."""

    def __init__(self, data: Data) -> None:
        self.pixels = data.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.labels.tolist()
        self.mean, self.std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(Image.fromarray(self.pixels[i]), 4)
        x, y = torch.randint(9, (2,)).tolist()
        image = image.crop((x, y, x + 32, y + 32))
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return tensor.sub_(self.mean).div_(self.std), self.labels[i]


class Clock:
    """Images a second over the steps after the warm-up."""

    def __init__(self) -> None:
        self.steps = 0
        self.began = (0.0, 0.0)
        self.speed = Speed(0.0, 0.0)

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == WARM_UP:
            wait_for_the_other()
            self.began = (time.process_time(), time.perf_counter())
        elif self.steps == WARM_UP + STEPS:
            images = STEPS * BATCH
            self.speed = Speed(
                images / (time.process_time() - self.began[0]), images / (time.perf_counter() - self.began[1])
            )


def wait_for_the_other() -> None:
    """Where two are to begin at once (`TOGETHER` names a folder): until both are here."""
    if (folder := os.environ.get("TOGETHER")) is not None:
        Path(folder, str(os.getpid())).touch()
        while len(os.listdir(folder)) < 2:
            time.sleep(0.001)


def network() -> CifarResNet:
    net = CifarResNet(20, 10)
    initialise(net, 0)
    return net


def assembled(data: Data, *, compiled: bool = False) -> "Training":
    from truelift.data import DataOptions, Splits
    from truelift.training import Experiment, resolve
    from truelift.training.build import assemble
    from truelift.training.compilation import compile_now
    from truelift.training.hardware import keep_pages

    keep_pages()
    images = data.set()
    splits = Splits(images, None, images.subset(torch.arange(BATCH)), tuple(map(str, range(10))), 0)
    experiment = resolve(Experiment(data=DataOptions(name="cifar10"), epochs=1, batch_size=BATCH, compile=compiled))
    training = assemble(experiment, splits)
    compile_now(training)
    return training


def run_truelift(data: Data, *, compiled: bool = False) -> Speed:
    from truelift.training.loop import fit
    from truelift.training.policies import Policy

    training, clock = assembled(data, compiled=compiled), Clock()

    class Counted(Policy):
        name = "counted"

        def stepped(self) -> None:
            clock()

    training.policies.append(Counted())
    with TemporaryDirectory() as folder:
        fit(training, lambda line: None, Path(folder) / "checkpoint.pt", 1e9)
        return clock.speed


def run_compiled(data: Data) -> Speed:
    return run_truelift(data, compiled=True)


def run_bare(data: Data) -> Speed:
    from truelift.training.policies import Progress

    t, clock = assembled(data), Clock()
    (schedule,) = (policy for policy in t.policies if policy.name == "learning_rate")
    t.network.train()
    for step, batch in enumerate(t.batches.epoch(0)):
        schedule(Progress(step, t.steps_per_epoch, t.steps, None))
        with t.autocast:
            losses, _ = t.objective(t.network, batch)
        losses["cross_entropy"].backward()
        t.optimizer.step()
        t.optimizer.zero_grad()
        clock()
    return clock.speed


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)


def loader(data: Data) -> DataLoader[tuple[Tensor, int]]:
    return DataLoader(PilDataset(data), BATCH, shuffle=True, drop_last=True)


def run_plain(data: Data) -> Speed:
    net, clock = network(), Clock()
    optimizer = sgd(net.parameters())
    for batch, labels in loader(data):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch), labels)
        loss.backward()
        optimizer.step()
        clock()
    return clock.speed


def run_lightning(data: Data) -> Speed:
    warnings.simplefilter("ignore")
    import lightning

    clock = Clock()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net: nn.Module = network()

        def training_step(self, batch: Any, index: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def on_train_batch_end(self, *_: Any) -> None:
            clock()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return sgd(self.parameters())

    trainer = lightning.Trainer(
        accelerator="cpu", precision="bf16-mixed", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Module(), loader(data))
    return clock.speed


def run_accelerate(data: Data) -> Speed:
    from accelerate import Accelerator

    accelerator, clock = Accelerator(cpu=True, mixed_precision="bf16"), Clock()
    net: Any = network()
    net, optimizer, batches = accelerator.prepare(net, sgd(net.parameters()), loader(data))
    net.train()
    for batch, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(batch), labels)
        accelerator.backward(loss)
        optimizer.step()
        clock()
    return clock.speed


def run_timm(data: Data) -> Speed:
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    from timm.utils import AverageMeter

    net, clock = network(), Clock()
    optimizer = create_optimizer_v2(net, opt="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    batches, criterion = loader(data), nn.CrossEntropyLoss()
    schedule = CosineLRScheduler(optimizer, t_initial=len(batches), t_in_epochs=False)
    losses, waited, took = AverageMeter(), AverageMeter(), AverageMeter()
    net.train()
    end = time.time()
    for number, (batch, labels) in enumerate(batches, start=1):
        waited.update(time.time() - end)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(net(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), batch.size(0))
        schedule.step_update(num_updates=number, metric=losses.avg)
        took.update(time.time() - end)
        end = time.time()
        clock()
    return clock.speed


ARMS: dict[str, Callable[[Data], Speed]] = {
    "truelift": run_truelift,
    "compiled": run_compiled,
    "bare": run_bare,
    "plain fp32": run_plain,
    "lightning bf16": run_lightning,
    "accelerate bf16": run_accelerate,
    "timm bf16": run_timm,
}


def median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def started(arm: str, data: Path, timm: Path, together: str | None = None) -> "subprocess.Popen[str]":
    command = [str(timm) if arm == "timm bf16" else sys.executable, "-P", __file__, "--arm", arm, "--images", str(data)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if arm == "timm bf16":
        environment["PYTHONPATH"] = str(ROOT / "src")
    if together is not None:
        environment["TOGETHER"] = together
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def measured(arm: str, process: "subprocess.Popen[str]") -> Speed:
    out, errors = process.communicate()
    if process.returncode:
        sys.exit(f"{arm} failed:\n{errors}")
    return Speed(*json.loads(out.splitlines()[-1]))


def two_at_once(data: Path, timm: Path) -> float:
    """Images a second of two processes together."""
    with TemporaryDirectory() as together:
        both = [started("truelift", data, timm, together) for _ in range(2)]
        return sum(measured("truelift", one).clock for one in both)


def repeats(n: int, data: Path, timm: Path, arms: Sequence[str]) -> Iterator[tuple[dict[str, float], float]]:
    """Of each arm images a CPU-second, and what two at once add up to over one by itself."""
    for number in range(n):
        speeds = {arm: measured(arm, started(arm, data, timm)) for arm in arms}
        two = two_at_once(data, timm) / speeds["truelift"].clock
        told = ", ".join(f"{arm} {speed.processor:.0f}" for arm, speed in speeds.items())
        print(f"repeat {number + 1}: {told}, two at once {two:.2f}", flush=True)
        yield {arm: speed.processor for arm, speed in speeds.items()}, two


def figures_of(rows: Sequence[dict[str, float]], two: Sequence[float]) -> dict[str, float]:
    """The medians of the repeats' ratios, by name."""
    ours = "compiled" if "compiled" in rows[0] else "truelift"
    found = {"over_plain_fp32": median(row[ours] / row["plain fp32"] for row in rows)} if ours == "compiled" else {}
    return found | {
        "eager_over_plain_fp32": median(row["truelift"] / row["plain fp32"] for row in rows),
        "over_best_bf16_peer": median(row[ours] / max(row[arm] for arm in PEERS if arm in row) for row in rows),
        "loop_overhead": median(row["bare"] / row["truelift"] for row in rows),
        "two_cores_over_one": median(two),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data.path", dest="path")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--timm", type=Path, default=TIMM, help="the interpreter of timm's environment")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        print(json.dumps(ARMS[arguments.arm](Data(*torch.load(arguments.images)))))
        return
    left_out = set() if arguments.compile else {"compiled"}
    if not arguments.timm.exists():
        print(f"timm bf16 is left out: there is no {arguments.timm} (see --help)")
        left_out.add("timm bf16")
    arms = [arm for arm in ARMS if arm not in left_out]
    with TemporaryDirectory() as folder:
        data = Path(folder) / "images.pt"
        torch.save(tuple(drawn(arguments.path)), data)
        made = list(repeats(arguments.repeats, data, arguments.timm, arms))
    rows = [row for row, _ in made]
    for arm in arms:
        print(f"{arm:15} {median(row[arm] for row in rows):6.0f} images a CPU-second (median)")
    print(json.dumps({name: round(value, 3) for name, value in figures_of(rows, [two for _, two in made]).items()}))


if __name__ == "__main__":
    main()
